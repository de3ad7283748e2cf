//! The scan on troubles that are planted.

use super::*;
use gate_kit::random;

const DIMENSIONS: [&str; 6] = [
    "revision", "route", "provider", "model", "consumer", "region",
];

fn draw(sizes: &[usize]) -> Vec<String> {
    let value = |(index, size): (usize, &usize)| {
        // Unequal shares, as traffic has them.
        let drawn = (random::fraction() * random::fraction() * *size as f64) as usize;
        format!("{}{drawn}", &DIMENSIONS[index][..2])
    };
    sizes.iter().enumerate().map(value).collect()
}

/// Events before and during a trouble that only `fails` has, with that ratio of bad events.
fn planted(fails: impl Fn(&[String]) -> bool, ratio: f64) -> Cells {
    let mut cells = Cells::new(&DIMENSIONS);
    for event in 0..40_000 {
        let values = draw(&[2, 6, 3, 5, 20, 3]);
        let is_now = event >= 30_000;
        let base = 0.002;
        let chance = if is_now && fails(&values) {
            ratio
        } else {
            base
        };
        let count = Count::new(1, u64::from(random::fraction() < chance));
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        match is_now {
            true => cells.now(&values, count),
            false => cells.before(&values, count),
        }
    }
    cells
}

fn causes(answer: &Answer) -> Vec<String> {
    let pairs = |cause: &Conjunction| {
        let pairs: Vec<String> = cause.values().cloned().collect();
        pairs.join("+")
    };
    answer.causes.iter().map(pairs).collect()
}

#[test]
fn planted_troubles_are_found() {
    type Fails = fn(&[String]) -> bool;
    let cases: [(&[&str], Fails); 5] = [
        (&["re1"], |values| values[0] == "re1"),
        (&["pr0"], |values| values[2] == "pr0"),
        (&["mo1+re0"], |values| {
            values[0] == "re0" && values[3] == "mo1"
        }),
        (&["mo0+re0+ro1"], |values| {
            values[0] == "re0" && values[1] == "ro1" && values[3] == "mo0"
        }),
        (&["mo1", "mo2"], |values| {
            ["mo1", "mo2"].contains(&values[3].as_str())
        }),
    ];
    for seed in 0..4 {
        for (expected, fails) in cases {
            random::seed(seed);
            let found = attribute(&planted(fails, 0.3), &Settings::default());
            let first = &found.answers[0];
            assert_eq!(causes(first), expected, "seed {seed}: {first}");
            assert!(first.explained > 0.9, "{first}");
        }
    }
}

#[test]
fn an_answer_is_a_sentence() {
    let mut cells = Cells::new(&["model", "provider"]);
    cells.before(&["gpt", "a"], Count::new(1000, 1));
    cells.now(&["gpt", "a"], Count::new(100, 90));
    cells.before(&["gpt", "b"], Count::new(1000, 1));
    cells.now(&["gpt", "b"], Count::new(100, 0));
    let found = attribute(&cells, &Settings::default());
    assert_eq!(
        found.answers[0].to_string(),
        "provider `a`: 90 of 100 events are bad where 0.1 were to be expected, 100 % of the excess"
    );
}

#[test]
fn no_excess_has_no_answer() {
    assert_eq!(
        attribute(&Cells::new(&[]), &Settings::default()).answers,
        []
    );
    let mut cells = Cells::new(&["route"]);
    cells.before(&["a"], Count::new(1000, 100));
    cells.now(&["a"], Count::new(1000, 50));
    assert_eq!(attribute(&cells, &Settings::default()).answers, []);
}

#[test]
fn the_order_of_events_does_not_count() {
    let rows: Vec<(Vec<String>, Count)> = {
        random::seed(3);
        let row = || {
            (
                draw(&[2, 3, 2, 2, 2, 2]),
                Count::new(10, random::below(4) as u64),
            )
        };
        (0..200).map(|_| row()).collect()
    };
    let of = |rows: &mut dyn Iterator<Item = &(Vec<String>, Count)>| {
        let mut cells = Cells::new(&DIMENSIONS);
        for (values, count) in rows {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            cells.now(&values, *count);
            cells.before(&values, Count::new(40, 1));
        }
        let found = attribute(&cells, &Settings::default());
        let causes: Vec<_> = found
            .answers
            .into_iter()
            .map(|answer| answer.causes)
            .collect();
        causes
    };
    assert_eq!(of(&mut rows.iter()), of(&mut rows.iter().rev()));
}

#[test]
fn cells_are_bounded() {
    let mut cells = Cells::new(&["consumer"]);
    for number in 0..CELLS_MAX + 500 {
        cells.now(&[&number.to_string()], Count::new(1, 0));
    }
    assert_eq!(cells.len(), CELLS_MAX + 1);
    cells.now(&["7"], Count::new(1, 0));
    assert_eq!(cells.len(), CELLS_MAX + 1);
}
