//! `adopt`: the objects of the destination that this sync has not made, shown and taken over.

use std::io::{self, Write};

use clap::Args;
use infrahub_sync_engine::{self as engine, Adoption, KindAdoption};
use serde::Serialize;

use crate::args::{DataArgs, Output, OutputArgs, ProgressArgs, RunArgs, SystemArgs, engine_options};
use crate::call::Call;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::escape::Escaped;
use crate::exit::Exit;

/// The objects of a kind that text output names; JSON names all.
const NAMED: usize = 10;

/// The arguments of `adopt`.
#[derive(Debug, Args)]
pub(super) struct Adopt {
    #[command(flatten)]
    systems: SystemArgs,

    /// Only objects of this kind; can be repeated [default: all kinds of the project]
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,

    /// Also take over objects that only the destination has. A run that may delete then deletes them
    #[arg(long)]
    unmatched: bool,

    /// Take the objects over; without this option they are only shown
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    data: DataArgs,

    #[command(flatten)]
    progress: ProgressArgs,

    #[command(flatten)]
    run: RunArgs,
}

/// Shows the objects, and takes them over.
pub(super) fn run(args: &Adopt, context: Context) -> Result<Exit, CommandError> {
    let context = context.with_bars(&args.progress);
    let call = Call::new(&args.systems, &args.run.exchanges, engine_options(&[&args.data, &args.run]));
    let adoption = Adoption { kinds: args.kinds.clone(), unmatched: args.unmatched, adopts: args.yes };
    let kinds = call.run(&context, async |run| engine::adopt(run, &adoption).await)?;
    context.print(|mut out| match args.output.format {
        Output::Text => text(&mut out, &kinds, context.is_verbose()),
        Output::Json => json(&mut out, &kinds),
    })?;
    context.screen.info(&sentence(args, &kinds));
    Ok(Exit::Done)
}

/// Writes a line for each kind, and the names of its objects.
fn text(out: &mut impl Write, kinds: &[KindAdoption], all: bool) -> io::Result<()> {
    for kind in kinds {
        let (matched, unmatched) = (kind.matched.len(), kind.unmatched.len());
        write!(out, "{}: {} recorded as made by this sync", Escaped(&kind.kind), kind.owned)?;
        for (count, what) in [(matched, "not recorded, in the source too"), (unmatched, "not recorded, only in the destination")] {
            write!(out, ", {count} {what}")?;
        }
        if kind.foreign > 0 {
            write!(out, ", {} made by another sync, which the destination records", kind.foreign)?;
        }
        writeln!(out)?;
        for (sign, names) in [("=", &kind.matched), ("+", &kind.unmatched)] {
            let shown = if all { names.len() } else { names.len().min(NAMED) };
            for name in names.iter().take(shown) {
                writeln!(out, "  {sign} {}", Escaped(name))?;
            }
            if shown < names.len() {
                writeln!(out, "  {sign} and {} more", names.len() - shown)?;
            }
        }
    }
    Ok(())
}

/// The objects of a kind, for a program.
#[derive(Serialize)]
struct Kind<'k> {
    kind: &'k str,
    owned: u64,
    foreign: u64,
    adopted: u64,
    matched: &'k [String],
    unmatched: &'k [String],
}

fn json(out: &mut impl Write, kinds: &[KindAdoption]) -> io::Result<()> {
    let kinds: Vec<Kind<'_>> = kinds
        .iter()
        .map(|kind| Kind {
            kind: &kind.kind,
            owned: kind.owned,
            foreign: kind.foreign,
            adopted: kind.adopted,
            matched: &kind.matched,
            unmatched: &kind.unmatched,
        })
        .collect();
    let text = serde_json::to_string_pretty(&serde_json::json!({ "kinds": kinds }))?;
    writeln!(out, "{text}")
}

/// Returns what was done, and what can be done next.
fn sentence(args: &Adopt, kinds: &[KindAdoption]) -> String {
    let sum = |count: fn(&KindAdoption) -> u64| kinds.iter().map(count).sum::<u64>();
    let (adopted, matched, unmatched) =
        (sum(|kind| kind.adopted), sum(|kind| kind.matched.len() as u64), sum(|kind| kind.unmatched.len() as u64));
    let objects = |count: u64| format!("{count} {}", if count == 1 { "object" } else { "objects" });
    let taken = matched + if args.unmatched { unmatched } else { 0 };
    match (args.yes, taken) {
        (true, _) => format!("Adopted {}", objects(adopted)),
        (false, 0) if unmatched > 0 => {
            "Nothing to adopt but objects that only the destination has; --unmatched --yes adopts them, and a run that may delete then deletes them"
                .to_owned()
        }
        (false, 0) => "Nothing to adopt".to_owned(),
        (false, taken) => format!("Nothing was changed; --yes adopts {}", objects(taken)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_lines_and_long_lists_are_cut() {
        let kinds = [
            KindAdoption { kind: "Site".to_owned(), owned: 3, matched: vec!["a".to_owned()], ..KindAdoption::default() },
            KindAdoption {
                kind: "Tag".to_owned(),
                unmatched: (0..12).map(|number| format!("t{number}")).collect(),
                foreign: 2,
                ..KindAdoption::default()
            },
        ];
        let mut out = Vec::new();
        text(&mut out, &kinds, false).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        Site: 3 recorded as made by this sync, 1 not recorded, in the source too, 0 not recorded, only in the destination
          = a
        Tag: 0 recorded as made by this sync, 0 not recorded, in the source too, 12 not recorded, only in the destination, 2 made by another sync, which the destination records
          + t0
          + t1
          + t2
          + t3
          + t4
          + t5
          + t6
          + t7
          + t8
          + t9
          + and 2 more
        ");
    }
}
