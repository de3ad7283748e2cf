//! What calls to models did besides one plain try, as counters: one table for all of them.

use gate_flow::Detours;

/// Name, help text, and what a call adds.
type Row = (&'static str, &'static str, fn(&Detours) -> u64);

/// Every counter.
pub(super) const DETOURS: [Row; 9] = [
    (
        "tidegate_ai_retries",
        "Further rounds through a model's targets.",
        |detours| detours.retries.into(),
    ),
    (
        "tidegate_ai_passed_over",
        "Targets passed over because they rested, were out of headroom or could not take the call.",
        |detours| detours.passed_over.into(),
    ),
    (
        "tidegate_ai_benched",
        "Credentials and targets put out for a while after a failure.",
        |detours| detours.benched.into(),
    ),
    (
        "tidegate_ai_hedges",
        "Second calls beside a slow one.",
        |detours| detours.hedges.into(),
    ),
    (
        "tidegate_ai_hedges_won",
        "Second calls that answered first.",
        |detours| detours.hedge_won.into(),
    ),
    (
        "tidegate_ai_seams",
        "Broken streams that another target continued.",
        |detours| detours.seams.len() as u64,
    ),
    (
        "tidegate_ai_sheds",
        "Calls refused because every target was full.",
        |detours| detours.shed.into(),
    ),
    (
        "tidegate_ai_stalls",
        "Streams cut because they stalled.",
        |detours| detours.stalled.into(),
    ),
    (
        "tidegate_ai_stream_errors",
        "Streams in which the provider reported an error.",
        |detours| detours.stream_error.is_some().into(),
    ),
];

/// The sums of one series.
pub(super) type Sums = [u64; DETOURS.len()];

/// Adds a call's detours.
pub(super) fn observe(sums: &mut Sums, detours: &Detours) {
    for (sum, (_, _, pick)) in sums.iter_mut().zip(&DETOURS) {
        *sum += pick(detours);
    }
}

/// Adds another series'.
pub(super) fn absorb(sums: &mut Sums, other: &Sums) {
    sums.iter_mut().zip(other).for_each(|(sum, n)| *sum += n);
}
