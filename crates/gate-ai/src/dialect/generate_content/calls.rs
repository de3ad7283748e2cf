//! Ids of calls, which Google may leave out and every other dialect needs.
//!
//! An id is made from the place of the call, so that the same conversation has the same ids
//! whenever it is sent and however it was streamed. Results without an id belong to the first call
//! of their name that has none yet.

use crate::conversation::Text;
use std::collections::VecDeque;

/// Most calls that wait for their results; of more the oldest is forgotten.
const OPEN_MAX: usize = 1024;
/// Most letters of a response's id within the id of a call: others allow 40 in all.
const RESPONSE_ID_MAX: usize = 24;

/// Makes ids and joins results to calls.
#[derive(Debug, Default)]
pub(super) struct CallIds {
    prefix: String,
    made: usize,
    /// Id and name of calls without a result so far.
    open: VecDeque<(String, String)>,
}

impl CallIds {
    /// For the calls of a conversation.
    pub(super) fn of_request() -> Self {
        Self {
            prefix: "call_".to_owned(),
            ..Self::default()
        }
    }

    /// For the calls of one answer, whose id sets them apart from those of other answers.
    pub(super) fn of_response(id: &str) -> Self {
        let mut prefix = "call_".to_owned();
        let letters = id.chars().filter(|c| c.is_ascii_alphanumeric());
        prefix.extend(letters.take(RESPONSE_ID_MAX));
        prefix.push('_');
        Self {
            prefix,
            ..Self::default()
        }
    }

    /// The id of the next call.
    pub(super) fn call<'a>(&mut self, id: Option<Text<'a>>, name: &str) -> Text<'a> {
        let id = self.given_or_made(id);
        if self.open.len() == OPEN_MAX {
            self.open.pop_front();
        }
        self.open
            .push_back((id.clone().into_owned(), name.to_owned()));
        id
    }

    /// The id of the call that the next result belongs to.
    pub(super) fn result<'a>(&mut self, id: Option<Text<'a>>, name: &str) -> Text<'a> {
        let id = id.filter(|id| !id.is_empty());
        let at = match &id {
            Some(id) => self.open.iter().position(|(open, _)| open == id.as_ref()),
            None => self.open.iter().position(|(_, open)| open == name),
        };
        let found = at.and_then(|at| self.open.remove(at));
        match (id, found) {
            (Some(id), _) => id,
            (None, Some((id, _))) => id.into(),
            (None, None) => self.given_or_made(None),
        }
    }

    fn given_or_made<'a>(&mut self, id: Option<Text<'a>>) -> Text<'a> {
        let made = self.made;
        self.made += 1;
        id.filter(|id| !id.is_empty())
            .unwrap_or_else(|| format!("{}{made}", self.prefix).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_find_their_calls_by_name_and_order() {
        let mut ids = CallIds::of_request();
        assert_eq!(ids.call(None, "a"), "call_0");
        assert_eq!(ids.call(None, "b"), "call_1");
        assert_eq!(ids.call(None, "a"), "call_2");
        assert_eq!(ids.call(Some("x".into()), "a"), "x");
        assert_eq!(ids.result(None, "b"), "call_1");
        assert_eq!(ids.result(Some("x".into()), "a"), "x");
        assert_eq!(ids.result(None, "a"), "call_0");
        assert_eq!(ids.result(None, "a"), "call_2");
        assert_eq!(ids.result(None, "a"), "call_4");
    }

    #[test]
    fn ids_of_answers_fit_everywhere() {
        let mut ids = CallIds::of_response("_vr4-aYiWEJnYodAPkujX0QMandmuchmore");
        let id = ids.call(None, "a");
        assert_eq!(id, "call_vr4aYiWEJnYodAPkujX0QMan_0");
        assert!(id.len() <= 40);
    }
}
