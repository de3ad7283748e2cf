//! What a condition reads of a request, for replays of kept ones.
//!
//! A header or query parameter that is named by a constant is read by itself; a condition that goes
//! through all of them, or looks one up by a computed name, reads more than any row keeps.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use gate_flow::Reads;

/// What this checked condition reads.
pub(super) fn of(expression: &IdedExpr) -> Reads {
    let mut reads = Reads::default();
    walk(&expression.expr, &mut reads);
    reads
}

/// A map of the request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Map {
    Headers,
    Query,
}

fn walk(expression: &Expr, reads: &mut Reads) {
    if let Some(map) = map(expression) {
        return reads.add(&Reads::beyond(match map {
            Map::Headers => "every header",
            Map::Query => "every query parameter",
        }));
    }
    match expression {
        Expr::Select(select) => match map(&select.operand.expr) {
            Some(map) => entry(map, &select.field, reads),
            None => walk(&select.operand.expr, reads),
        },
        Expr::Call(call) => {
            let (of, name) = match (&call.func_name[..], &call.args[..]) {
                (operators::INDEX, [of, name]) | (operators::IN, [name, of]) => (Some(of), name),
                (_, [.., last]) => (None, last),
                (_, []) => return call.target.iter().for_each(|part| walk(&part.expr, reads)),
            };
            if let Some(map) = of.and_then(|of| map(&of.expr))
                && let Expr::Literal(LiteralValue::String(name)) = &name.expr
            {
                return entry(map, name.inner(), reads);
            }
            let parts = call.target.as_deref().into_iter().chain(&call.args);
            parts.for_each(|part| walk(&part.expr, reads));
        }
        Expr::Comprehension(all) => {
            let parts = [&all.iter_range, &all.accu_init, &all.loop_cond];
            let parts = parts.into_iter().chain([&all.loop_step, &all.result]);
            parts.for_each(|part| walk(&part.expr, reads));
        }
        Expr::List(list) => list
            .elements
            .iter()
            .for_each(|part| walk(&part.expr, reads)),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    walk(&entry.key.expr, reads);
                    walk(&entry.value.expr, reads);
                }
            }
        }
        Expr::Ident(name) if name == "ai" => reads.add(&Reads::beyond("what a call asks for")),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
}

/// The map that this expression names, if it is one.
fn map(expression: &Expr) -> Option<Map> {
    let Expr::Select(select) = expression else {
        return None;
    };
    let Expr::Ident(root) = &select.operand.expr else {
        return None;
    };
    match (root.as_str(), select.field.as_str()) {
        ("request", "headers") => Some(Map::Headers),
        ("request", "query") => Some(Map::Query),
        _ => None,
    }
}

fn entry(map: Map, name: &str, reads: &mut Reads) {
    match map {
        Map::Headers => drop(reads.headers.insert(name.to_ascii_lowercase())),
        Map::Query => drop(reads.parameters.insert(name.to_owned())),
    }
}
