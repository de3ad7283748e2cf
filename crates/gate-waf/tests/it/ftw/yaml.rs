//! Just enough YAML to read the suite's files: events to trees.

use saphyr_parser::{Event, Parser};

/// A node.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    pub(crate) fn parse(text: &str) -> Result<Node, String> {
        let events: Result<Vec<_>, _> = Parser::new_from_str(text).collect();
        let events = events.map_err(|error| error.to_string())?;
        let mut events = events.into_iter().map(|(event, _)| event);
        loop {
            match events.next() {
                Some(Event::StreamStart | Event::DocumentStart(_)) => {}
                Some(event) => return Node::build(event, &mut events),
                None => return Err("empty".into()),
            }
        }
    }

    fn build<'a>(
        event: Event<'a>,
        rest: &mut impl Iterator<Item = Event<'a>>,
    ) -> Result<Node, String> {
        Ok(match event {
            Event::Scalar(text, ..) => Node::Text(text.into_owned()),
            Event::SequenceStart(..) => {
                let mut list = Vec::new();
                loop {
                    match rest.next() {
                        Some(Event::SequenceEnd) => break Node::List(list),
                        Some(event) => list.push(Node::build(event, rest)?),
                        None => return Err("a list is not closed".into()),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut map = Vec::new();
                loop {
                    let key = match rest.next() {
                        Some(Event::MappingEnd) => break Node::Map(map),
                        Some(Event::Scalar(key, ..)) => key.into_owned(),
                        other => return Err(format!("{other:?} as a key")),
                    };
                    let value = rest.next().ok_or("a key without a value")?;
                    map.push((key, Node::build(value, rest)?));
                }
            }
            other => return Err(format!("{other:?} is not expected")),
        })
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Node::Map(map) => map.iter().find(|(one, _)| one == key).map(|(_, node)| node),
            _ => None,
        }
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Node::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn list(&self, key: &str) -> &[Node] {
        match self.get(key) {
            Some(Node::List(list)) => list,
            _ => &[],
        }
    }

    pub(crate) fn map(&self, key: &str) -> &[(String, Node)] {
        match self.get(key) {
            Some(Node::Map(map)) => map,
            _ => &[],
        }
    }
}
