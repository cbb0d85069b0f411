//! Measures keys, references, sorting, differences and the plan.

use infrahub_sync_base::Side;
use infrahub_sync_core::diff::diff;
use infrahub_sync_core::plan::{Policy, plan};
use infrahub_sync_core::snapshot::{Snapshot, build};

use crate::model::{Look, model, side};
use crate::timing::{Failed, Table, each, median, median_of};

pub(crate) const ALL: Policy = Policy { create: true, update: true, delete: true };

/// Returns a built side without a problem.
pub(crate) fn built(size: usize, look: Look) -> Result<Snapshot, Failed> {
    let (snapshot, problems) = build(&model(), side(size, look), Side::Source);
    match problems.first() {
        None => Ok(snapshot),
        Some(problem) => Err(format!("{} problems, such as {problem}", problems.len()).into()),
    }
}

pub(crate) const SOURCE: Look = Look { sorted: true, grouped: false, ids_from: 1, changed_percent: 0 };
pub(crate) const DESTINATION: Look = Look { sorted: false, grouped: false, ids_from: 5_000_000, changed_percent: 0 };
pub(crate) const CHANGED: Look = Look { changed_percent: 1, ..DESTINATION };

/// References, keys, order.
pub(crate) fn measure_build(sizes: &[usize], runs: usize) -> Result<(), Failed> {
    let model = model();
    let mut table = Table::new("build: keys, references, order (`core::snapshot::build`)", "", sizes);
    for size in sizes {
        let looks = [
            ("rows in the order of their keys, neighbours refer to neighbours", Look { grouped: true, ..SOURCE }),
            ("rows in the order of their keys, references lead anywhere", SOURCE),
            ("rows in any order, references lead anywhere", DESTINATION),
        ];
        for (line, look) in looks {
            let raw = side(*size, look);
            let taken = median_of(runs, || raw.clone(), |raw| Ok(build(&model, raw, Side::Source)))?;
            table.put(line, each(taken, *size));
        }
    }
    table.print();
    println!("\n10 fields, 1.6 references and 1.6 key parts an object on average; an interface's key has its device's key in it.");
    Ok(())
}

/// Differences and plan.
pub(crate) fn measure_diff(sizes: &[usize], runs: usize) -> Result<(), Failed> {
    let model = model();
    let mut table = Table::new("diff and plan", "", sizes);
    for size in sizes {
        let source = built(*size, SOURCE)?;
        for (line, look) in [("equal", DESTINATION), ("1 % differ", CHANGED)] {
            let destination = built(*size, look)?;
            let taken = median(runs, || Ok(diff(&model, &source, &destination)))?;
            table.put(&format!("diff, {line}"), each(taken, *size));
            let found = diff(&model, &source, &destination);
            if found.is_empty() != (look.changed_percent == 0) {
                return Err(format!("the sides should {line}, but do not").into());
            }
            let taken = median_of(runs, || found.clone(), |found| Ok(plan(&model, &source, &destination, found, ALL).rows().count()))?;
            table.put(&format!("plan with its rows, {line}"), each(taken, *size));
        }
        let nothing = Snapshot { kinds: vec![Default::default(); model.kinds.len()] };
        let taken = median(runs, || Ok(diff(&model, &source, &nothing)))?;
        table.put("diff, destination empty", each(taken, *size));
        let found = diff(&model, &source, &nothing);
        let taken = median_of(runs, || found.clone(), |found| Ok(plan(&model, &source, &nothing, found, ALL).rows().count()))?;
        table.put("plan with its rows, destination empty", each(taken, *size));
    }
    table.print();
    Ok(())
}
