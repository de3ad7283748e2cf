//! Figures of a run: per scenario and subject, one value per round, reported as medians.

use crate::machine::Facts;
use crate::subject::Kind;

/// One figure of one subject.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What is measured, with its unit last.
    pub name: &'static str,
    /// One value per round.
    pub values: Vec<f64>,
}

/// A subject's figures in one scenario.
#[derive(Debug, Clone)]
pub struct Row {
    /// Who.
    pub kind: Kind,
    /// What; empty when it could not be measured.
    pub figures: Vec<Figure>,
    /// Why something is missing, or what to know about it.
    pub note: Option<String>,
    /// The subject is here but did not do what was asked.
    pub failed: bool,
}

/// A scenario's figures.
#[derive(Debug, Clone)]
pub struct Table {
    /// The scenario's name.
    pub scenario: &'static str,
    /// What it measures.
    pub about: &'static str,
    /// One row per subject.
    pub rows: Vec<Row>,
}

/// A whole run.
#[derive(Debug, Clone)]
pub struct Results {
    /// The machine and the commit.
    pub facts: Facts,
    /// The command that made the run, without paths.
    pub command: String,
    /// Versions of the peers.
    pub versions: Vec<(Kind, String)>,
    /// One table per scenario.
    pub tables: Vec<Table>,
}

impl Row {
    /// A row without figures yet.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            figures: Vec::new(),
            note: None,
            failed: false,
        }
    }

    /// A row that only says why there is nothing.
    #[must_use]
    pub fn missing(kind: Kind, why: String) -> Self {
        Self {
            note: Some(why),
            ..Self::new(kind)
        }
    }

    /// A row that says what went wrong; the run ends with a failure.
    #[must_use]
    pub fn failed(kind: Kind, problem: &str) -> Self {
        Self {
            failed: true,
            ..Self::missing(kind, format!("FAILED: {problem}"))
        }
    }

    /// Adds one round's value.
    pub fn add(&mut self, name: &'static str, value: f64) {
        match self.figures.iter_mut().find(|figure| figure.name == name) {
            Some(figure) => figure.values.push(value),
            None => self.figures.push(Figure {
                name,
                values: vec![value],
            }),
        }
    }

    /// The median of a figure.
    #[must_use]
    pub fn median(&self, name: &str) -> Option<f64> {
        self.figures
            .iter()
            .find(|figure| figure.name == name)
            .map(Figure::median)
    }
}

impl Figure {
    /// The median of the rounds; the mean of the middle two for an even number.
    #[must_use]
    pub fn median(&self) -> f64 {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        }
    }
}

impl Table {
    /// A subject's row.
    #[must_use]
    pub fn row(&self, kind: Kind) -> Option<&Row> {
        self.rows.iter().find(|row| row.kind == kind)
    }

    /// A subject's median over nginx's.
    #[must_use]
    pub fn ratio(&self, kind: Kind, name: &str) -> Option<f64> {
        let base = self
            .row(Kind::Nginx)?
            .median(name)
            .filter(|base| *base > 0.0)?;
        Some(self.row(kind)?.median(name)? / base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios() {
        let mut nginx = Row::new(Kind::Nginx);
        let mut other = Row::new(Kind::Envoy);
        for (a, b) in [(9.0, 30.0), (10.0, 20.0), (50.0, 25.0), (11.0, 22.0)] {
            nginx.add("cpu_us", a);
            other.add("cpu_us", b);
        }
        assert_eq!(nginx.median("cpu_us"), Some(10.5));
        let table = Table {
            scenario: "x",
            about: "",
            rows: vec![
                nginx,
                other,
                Row::missing(Kind::Haproxy, "not installed".into()),
            ],
        };
        assert_eq!(table.ratio(Kind::Envoy, "cpu_us"), Some(23.5 / 10.5));
        assert_eq!(table.ratio(Kind::Haproxy, "cpu_us"), None);
    }
}
