//! Attribution on real cases: the public RobustSpot set, where it lies beside the repository
//! (`../shared/vectors/attribution`). The scan's three numbers are chosen on other cases than those
//! that are scored: five folds, in each the numbers that do best on the other four.

use gate_ops::attribution::{Cells, Conjunction, Settings, attribute};
use gate_ops::slo::Count;
use std::path::{Path, PathBuf};

struct Case {
    cells: Cells,
    causes: Vec<Conjunction>,
}

/// The folder with the cases, or a line that says that it is absent.
pub(crate) fn vectors(name: &str) -> Option<PathBuf> {
    let below = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let chosen = std::env::var_os("TIDEGATE_VECTORS").map_or(below, PathBuf::from);
    let folder = chosen.join(name);
    if !folder.is_dir() {
        println!("skipped: {} is absent", folder.display());
        return None;
    }
    Some(folder)
}

/// A case's events: those before the labelled minute, and those in it.
fn case(folder: &Path, label: &serde_json::Value) -> Case {
    let text = std::fs::read_to_string(folder.join(label["file"].as_str().unwrap())).unwrap();
    let mut lines = text.lines().map(|line| line.trim_start_matches('\u{feff}'));
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let place = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let (minute, bad, total) = (place("min"), place("value"), place("cnt"));
    let is_dimension = |index: &usize| ![minute, bad, total].contains(index);
    let dimensions: Vec<usize> = (0..header.len()).filter(is_dimension).collect();
    let names: Vec<&str> = dimensions.iter().map(|index| header[*index]).collect();
    let at = label["timestamp"].as_u64().unwrap();
    let mut cells = Cells::new(&names);
    for line in lines.filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |index: usize| fields[index].parse::<f64>().unwrap() as u64;
        let count = Count::new(number(total), number(bad));
        let values: Vec<&str> = dimensions.iter().map(|index| fields[*index]).collect();
        match number(minute).cmp(&at) {
            std::cmp::Ordering::Less => cells.before(&values, count),
            std::cmp::Ordering::Equal => cells.now(&values, count),
            std::cmp::Ordering::Greater => {}
        }
    }
    let mut causes: Vec<Conjunction> = serde_json::from_value(label["causes"].clone()).unwrap();
    causes.sort();
    Case { cells, causes }
}

/// Whether the first answer, and one of the first three, is the set of causes exactly.
fn score(case: &Case, settings: &Settings) -> [bool; 2] {
    let found = attribute(&case.cells, settings);
    let is_right = |answer: &gate_ops::attribution::Answer| answer.causes == case.causes;
    let place = found.answers.iter().position(is_right);
    [place == Some(0), place.is_some_and(|place| place < 3)]
}

fn grid() -> Vec<Settings> {
    let mut grid = Vec::new();
    for shrink in [30.0, 100.0] {
        for wider in [1.5, 2.0, 3.0, f64::INFINITY] {
            for further in [0.1, 0.2, 0.3] {
                grid.push(Settings {
                    shrink,
                    wider,
                    further,
                });
            }
        }
    }
    grid
}

#[test]
fn real_cases_are_attributed() {
    let Some(folder) = vectors("attribution") else {
        return;
    };
    let labels = std::fs::read_to_string(folder.join("labels.json")).unwrap();
    let labels: Vec<serde_json::Value> = serde_json::from_str(&labels).unwrap();
    let cases: Vec<Case> = labels.iter().map(|label| case(&folder, label)).collect();
    let grid = grid();
    // [settings][case]
    let scores: Vec<Vec<[bool; 2]>> = grid
        .iter()
        .map(|settings| cases.iter().map(|case| score(case, settings)).collect())
        .collect();
    let sum = |settings: usize, of: &dyn Fn(usize) -> bool| {
        let chosen = (0..cases.len()).filter(|case| of(*case));
        chosen.fold([0, 0], |[first, three], case| {
            let [is_first, is_three] = scores[settings][case];
            [first + usize::from(is_first), three + usize::from(is_three)]
        })
    };
    const FOLDS: usize = 5;
    let mut held_out = [0, 0];
    for fold in 0..FOLDS {
        let best = (0..grid.len())
            .rev()
            .max_by_key(|settings| {
                sum(*settings, &|case| case % FOLDS != fold)
                    .iter()
                    .sum::<usize>()
            })
            .unwrap();
        let [first, three] = sum(best, &|case| case % FOLDS == fold);
        println!("fold {fold}: {:?}: {first} and {three}", grid[best]);
        held_out = [held_out[0] + first, held_out[1] + three];
    }
    let share = |count: usize| count as f64 / cases.len() as f64;
    let [first, three] = held_out.map(share);
    println!(
        "{} cases, held out: top-1 {first:.3}, top-3 {three:.3}",
        cases.len()
    );
    let default = cases.iter().map(|case| score(case, &Settings::default()));
    let default: Vec<[bool; 2]> = default.collect();
    let count = |place: usize| default.iter().filter(|score| score[place]).count();
    let (own_first, own_three) = (share(count(0)), share(count(1)));
    println!("with the default settings: top-1 {own_first:.3}, top-3 {own_three:.3}");
    assert!(
        first >= 0.70 && three >= 0.90,
        "{first} and {three} held out"
    );
}
