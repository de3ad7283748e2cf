//! Which directives hold at a place: those written there, else those of the blocks around it.

use super::syntax::Directive;

/// The blocks around a place, from the outermost to its own.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    levels: Vec<&'a [Directive]>,
}

impl<'a> Scope<'a> {
    /// The scope of a block.
    pub(super) fn of(block: &'a [Directive]) -> Self {
        Self {
            levels: vec![block],
        }
    }

    /// The scope of a block inside of this one.
    pub(super) fn inside(&self, block: &'a [Directive]) -> Self {
        let mut levels = self.levels.clone();
        levels.push(block);
        Self { levels }
    }

    /// The innermost directive of this name; the last one where it stands twice.
    pub(super) fn last(&self, name: &str) -> Option<&'a Directive> {
        self.all(name).pop()
    }

    /// All directives of this name at the innermost level that has one: what stands further out
    /// does not hold there.
    pub(super) fn all(&self, name: &str) -> Vec<&'a Directive> {
        self.any(&[name])
    }

    /// The same for directives that are inherited together, in their order.
    pub(super) fn any(&self, names: &[&str]) -> Vec<&'a Directive> {
        for level in self.levels.iter().rev() {
            let here = level.iter();
            let found: Vec<_> = here.filter(|d| names.contains(&&*d.name)).collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// All directives of this name at every level.
    pub(super) fn everywhere(&self, name: &str) -> Vec<&'a Directive> {
        let all = self.levels.iter().flat_map(|level| level.iter());
        all.filter(|d| d.name == name).collect()
    }

    /// The first word of a directive, with its line.
    pub(super) fn word(&self, name: &str) -> Option<(&'a str, &'a Directive)> {
        self.last(name).map(|found| (found.word(0), found))
    }

    /// Whether a directive says `on`.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.word(name).is_some_and(|(word, _)| word == "on")
    }

    /// The blocks that a request passes on its way in: that of the server and those inside of it.
    pub(super) fn levels(&self) -> impl Iterator<Item = &'a [Directive]> + '_ {
        self.levels.iter().skip(1).copied()
    }

    /// The directives of the innermost block.
    pub(super) fn own(&self) -> &'a [Directive] {
        self.levels.last().copied().unwrap_or_default()
    }
}
