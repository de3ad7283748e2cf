//! The names that rules ask for, as a tree, so that an event is walked along them and all else in it
//! is passed over.

use rustc_hash::FxHashMap;

/// No field, no node.
pub(super) const NONE: u32 = u32::MAX;

struct Node {
    children: FxHashMap<Box<[u8]>, u32>,
    parent: u32,
    name: Box<[u8]>,
    /// The field that ends here.
    field: u32,
    /// How many fields end here or below.
    uses: u32,
}

/// The tree. Nodes and fields keep their numbers until nothing uses them; freed numbers are given
/// again.
pub(super) struct Fields {
    nodes: Vec<Node>,
    free_nodes: Vec<u32>,
    /// Node and users of each field.
    fields: Vec<(u32, u32)>,
    free_fields: Vec<u32>,
}

impl Default for Fields {
    fn default() -> Self {
        Fields {
            nodes: vec![Node::new(NONE, &[])],
            free_nodes: Vec::new(),
            fields: Vec::new(),
            free_fields: Vec::new(),
        }
    }
}

impl Node {
    fn new(parent: u32, name: &[u8]) -> Self {
        Node {
            children: FxHashMap::default(),
            parent,
            name: name.into(),
            field: NONE,
            uses: 0,
        }
    }
}

impl Fields {
    /// The number of a field, which is used once more from now on.
    pub(super) fn take(&mut self, name: &str) -> u32 {
        let mut at = 0;
        for step in name.as_bytes().split(|byte| *byte == b'.') {
            at = match self.nodes[at as usize].children.get(step) {
                Some(child) => *child,
                None => self.grow(at, step),
            };
        }
        if self.nodes[at as usize].field == NONE {
            let field = self.free_fields.pop().unwrap_or_else(|| {
                self.fields.push((0, 0));
                self.fields.len() as u32 - 1
            });
            self.fields[field as usize] = (at, 0);
            self.nodes[at as usize].field = field;
            self.count_up(at, 1);
        }
        let field = self.nodes[at as usize].field;
        self.fields[field as usize].1 += 1;
        field
    }

    /// Uses a field once less. True when nobody does any more: its number is free then.
    pub(super) fn give_back(&mut self, field: u32) -> bool {
        let (node, users) = &mut self.fields[field as usize];
        *users -= 1;
        if *users > 0 {
            return false;
        }
        let mut at = *node;
        self.nodes[at as usize].field = NONE;
        self.free_fields.push(field);
        self.count_up(at, -1);
        while at != 0 && self.nodes[at as usize].uses == 0 {
            let node = std::mem::replace(&mut self.nodes[at as usize], Node::new(NONE, &[]));
            self.nodes[node.parent as usize].children.remove(&node.name);
            self.free_nodes.push(at);
            at = node.parent;
        }
        true
    }

    fn grow(&mut self, parent: u32, name: &[u8]) -> u32 {
        let node = Node::new(parent, name);
        let at = match self.free_nodes.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() as u32 - 1
            }
        };
        self.nodes[parent as usize].children.insert(name.into(), at);
        at
    }

    fn count_up(&mut self, mut at: u32, by: i32) {
        loop {
            let node = &mut self.nodes[at as usize];
            node.uses = node.uses.wrapping_add_signed(by);
            if at == 0 {
                return;
            }
            at = node.parent;
        }
    }

    /// The node below one by a name of an event, which may have dots in it.
    #[inline]
    pub(super) fn below(&self, at: u32, name: &[u8]) -> u32 {
        let children = &self.nodes[at as usize].children;
        if children.is_empty() {
            return NONE;
        }
        match children.get(name) {
            Some(child) => *child,
            None if name.contains(&b'.') => self.along(at, name),
            None => NONE,
        }
    }

    #[cold]
    fn along(&self, mut at: u32, name: &[u8]) -> u32 {
        for step in name.split(|byte| *byte == b'.') {
            match self.nodes[at as usize].children.get(step) {
                Some(child) => at = *child,
                None => return NONE,
            }
        }
        at
    }

    /// The field that ends at a node, or [`NONE`].
    #[inline]
    pub(super) fn field(&self, at: u32) -> u32 {
        self.nodes[at as usize].field
    }

    /// Whether fields end below a node.
    #[inline]
    pub(super) fn has_below(&self, at: u32) -> bool {
        !self.nodes[at as usize].children.is_empty()
    }

    /// One more than the highest number of a field.
    pub(super) fn bound(&self) -> usize {
        self.fields.len()
    }

    /// Whether nothing is held.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.nodes[0].children.is_empty() && self.nodes[0].uses == 0
    }
}
