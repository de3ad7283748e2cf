//! What a rollout says about itself, in sentences for people.

use super::verdict::{Assessment, EVERYTHING, Line, Pair};
use super::{Order, Rollout};

/// At the beginning.
pub(super) fn begun(rollout: &Rollout) -> String {
    match &rollout.strategy.shadow {
        Some(shadow) => format!("{} copies of requests are compared first", shadow.copies),
        None => format!("begins with {}", share(rollout, rollout.step)),
    }
}

/// By somebody's order.
pub(super) fn ordered(order: Order, who: &str) -> String {
    let done = match order {
        Order::Promote => "promoted",
        Order::RollBack => "taken back",
        Order::Hold => "held",
        Order::Resume => "resumed",
    };
    // Names of people and keys are short; whoever sends a longer one is cut.
    let who: String = who.chars().take(100).collect();
    format!("{done} by {who}")
}

/// The evidence is strong enough to take it back.
pub(super) fn worse(rollout: &Rollout, found: &Assessment) -> String {
    let limit = 1.0 / rollout.strategy.false_rollback.fraction();
    let strongest = found.lines.first().map_or_else(String::new, counts);
    format!(
        "taken back at {}: {strongest}. Were the new revision no worse, evidence like this would \
         come up in at most 1 of {} rollouts (the limit is 1 of {})",
        share(rollout, rollout.step),
        odds(found.against),
        whole(limit),
    )
}

/// Everything is shown that a step needs.
pub(super) fn shown(rollout: &Rollout) -> String {
    let next = rollout.step + 1;
    match (next as usize) < rollout.strategy.shares().len() {
        true => format!(
            "the evidence lets it go on from {} to {}",
            share(rollout, rollout.step),
            share(rollout, next)
        ),
        false => format!(
            "the evidence lets it go on from {} to all exchanges",
            share(rollout, rollout.step)
        ),
    }
}

/// Something is still to be shown.
pub(super) fn waiting(rollout: &Rollout, found: &Assessment, is_doubted: bool) -> String {
    format!(
        "stays at {}: {}",
        share(rollout, rollout.step),
        missing(found, is_doubted)
    )
}

/// The time of a step is over.
pub(super) fn undecided(rollout: &Rollout, found: &Assessment, is_doubted: bool) -> String {
    format!(
        "undecided after {} at {}: {}; `undecided` says what follows",
        rollout.strategy.step_patience,
        share(rollout, rollout.step),
        missing(found, is_doubted),
    )
}

fn missing(found: &Assessment, is_doubted: bool) -> String {
    if found.candidate_now == 0 {
        return "the new revision has served nothing in this step".into();
    }
    if is_doubted {
        let strongest = found.lines.first().map_or_else(String::new, counts);
        return format!(
            "the evidence against it is 1 of {} ({strongest})",
            odds(found.against)
        );
    }
    format!("not enough evidence yet on {}", found.open.join(", "))
}

/// Answers differ too often.
pub(super) fn differs(seen: Pair) -> String {
    format!(
        "taken back before it served anybody: {} of {} compared answers differ",
        seen.bad, seen.total
    )
}

/// Answers agree. What they took is said, and decides nothing: the steps compare that by chance.
pub(super) fn agrees(seen: Pair, compared: &[Line]) -> String {
    let mut text = format!(
        "{} of {} compared answers differ, which is within what is allowed",
        seen.bad, seen.total
    );
    for line in compared.iter().filter(|line| line.signal != super::ANSWERS) {
        let what = line.signal.trim_start_matches("answers_");
        let (copies, own) = (line.candidate.bad, line.control.bad);
        text += &format!(
            "; {what}: {copies} of {} took more by the new revision, {own} less",
            line.candidate.total
        );
    }
    text
}

/// Answers are still being compared.
pub(super) fn comparing(seen: Pair, wanted: u64) -> String {
    format!(
        "{} of {wanted} copies are compared, {} differ",
        seen.total, seen.bad
    )
}

/// There were too few copies.
pub(super) fn too_few(seen: Pair, wanted: u64) -> String {
    format!(
        "only {} of {wanted} copies could be compared in time, {} differ",
        seen.total, seen.bad
    )
}

fn counts(line: &Line) -> String {
    let on = match line.slice.as_str() {
        EVERYTHING => String::new(),
        slice => format!(" on `{slice}`"),
    };
    let beyond = match line.signal.as_str() {
        "latency" | "time_to_first_token" | "cost" => " beyond the other's usual",
        _ => "",
    };
    format!(
        "{}{on}{beyond}: {} of {} by the new revision, {} of {} by the current one",
        line.signal, line.candidate.bad, line.candidate.total, line.control.bad, line.control.total,
    )
}

fn share(rollout: &Rollout, step: u32) -> String {
    let share = rollout.share_of(step) * 100.0;
    let text = format!("{share:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} %")
}

fn odds(log: f64) -> String {
    if log > 20.0 {
        return "more than 100,000,000".into();
    }
    whole(log.exp())
}

/// A whole number with commas.
fn whole(number: f64) -> String {
    let digits = format!("{:.0}", number.max(1.0));
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
