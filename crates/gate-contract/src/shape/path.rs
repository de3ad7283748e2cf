//! Paths with parameters, to be matched and to be filled in.

/// A path such as `/orders/{id}` or `/files/{*rest}`.
#[derive(Debug, Clone)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Plain(String),
    Parameter(String),
    Rest(String),
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("`{text}` does not begin with a slash"));
        };
        let mut parts = Vec::new();
        for segment in rest.split('/') {
            if matches!(parts.last(), Some(Part::Rest(_))) {
                return Err("nothing can stand behind `{*rest}`".to_owned());
            }
            let inner = segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            parts.push(match inner {
                Some(name) => match name.strip_prefix('*') {
                    Some(name) => Part::Rest(name.to_owned()),
                    None => Part::Parameter(name.to_owned()),
                },
                None if segment.contains(['{', '}', '?', '#'])
                    || segment == ".."
                    || segment == "." =>
                {
                    return Err(format!("`{segment}` is no segment of a path"));
                }
                None => Part::Plain(segment.to_owned()),
            });
        }
        Ok(Self(parts))
    }

    /// The names of the parameters.
    pub(super) fn names(&self) -> Vec<String> {
        let name = |part: &Part| match part {
            Part::Plain(_) => None,
            Part::Parameter(name) | Part::Rest(name) => Some(name.clone()),
        };
        self.0.iter().filter_map(name).collect()
    }

    /// What the parameters are in a path that looks like this.
    pub(super) fn values(&self, path: &str) -> Option<Vec<(String, String)>> {
        let mut rest = path.strip_prefix('/')?;
        let mut values = Vec::new();
        for (index, part) in self.0.iter().enumerate() {
            if let Part::Rest(name) = part {
                values.push((name.clone(), rest.to_owned()));
                return Some(values);
            }
            let is_last = index + 1 == self.0.len();
            let segment = match (rest.split_once('/'), is_last) {
                (Some((segment, behind)), false) => {
                    rest = behind;
                    segment
                }
                (None, true) => rest,
                _ => return None,
            };
            match part {
                Part::Plain(text) if text == segment => {}
                Part::Parameter(name) if !segment.is_empty() => {
                    values.push((name.clone(), segment.to_owned()));
                }
                _ => return None,
            }
        }
        Some(values)
    }

    /// The path with these parameters, which come from a path and are written as they stood there.
    pub(super) fn fill(&self, values: &[(String, String)]) -> String {
        let mut path = String::new();
        for part in &self.0 {
            path.push('/');
            match part {
                Part::Plain(text) => path.push_str(text),
                Part::Parameter(name) | Part::Rest(name) => {
                    let value = values.iter().find(|(known, _)| known == name);
                    path.push_str(value.map_or("", |(_, value)| value));
                }
            }
        }
        path
    }
}
