//! A plan for a merge request: a table of counts, and the objects folded away by kind.
//!
//! The objects are in fenced `diff` blocks, where no HTML or markdown in a device's name is interpreted. No line can close the fence: each
//! begins with a sign or a blank, and line ends inside values are escaped.

use std::io::{self, Write};

use infrahub_sync_core::plan_row::{Action, PlanRow};

use super::look::Look;
use super::output::Failure;
use super::overview::{Counts, Overview};
use super::value::{Fields, write_change, write_value};
use super::words::{evidence_words, plural, taken_along};
use crate::escape::{Escaped, write_escaped};

/// The largest text, in bytes: GitHub accepts comments of 65,536 characters, and GitLab folds longer ones.
const BYTES_MAX: u64 = 60_000;

/// Counts the written bytes.
struct Counting<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Text inside markdown, with all markup escaped.
struct Inline<'a>(&'a str);

impl std::fmt::Display for Inline<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write as _;
        let text = Escaped(self.0).to_string();
        for (at, c) in text.char_indices() {
            let rest = text.get(at..).unwrap_or_default();
            match c {
                // A forge makes links of addresses that stand in a text.
                ':' if rest.starts_with("://") => f.write_str("&#58;")?,
                'w' | 'W' if rest.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("www.")) => write!(f, "&#{};", u32::from(c))?,
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                // A mention would notify people, and a reference would link.
                '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '@' | '~' | '!' => {
                    write!(f, "&#{};", u32::from(c))?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Writes a plan, up to the first row after [`BYTES_MAX`].
pub(crate) fn write<E>(
    out: &mut impl Write,
    overview: &Overview<'_>,
    rows: impl Iterator<Item = Result<PlanRow, E>>,
) -> Result<(), Failure<E>> {
    let mut out = Counting { inner: out, bytes: 0 };
    let run_id = overview.run_id;
    writeln!(out, "**{}**\n\nRun `{}`.", overview.sentence(), Escaped(run_id))?;
    for (kind, sentence) in overview.partial() {
        writeln!(out, "\n{} {}.", Inline(kind), Inline(&sentence))?;
    }
    let (unowned, hint) = overview.unowned();
    for (kind, sentence) in unowned {
        writeln!(out, "\n{}: {sentence}.", Inline(kind))?;
    }
    if let Some(hint) = hint {
        writeln!(out, "\n{hint}.")?;
    }
    if overview.is_in_sync() {
        return Ok(());
    }
    write_table(&mut out, overview)?;
    let look = Look::new(false, false);
    let mut open: Option<String> = None;
    let mut left_out = 0_u64;
    for (at, row) in rows.enumerate() {
        let row = row.map_err(Failure::Rows)?;
        if out.bytes > BYTES_MAX {
            left_out += 1;
            continue;
        }
        if open.as_ref() != Some(&row.resource) {
            if open.is_some() {
                out.write_all(b"```\n\n</details>\n")?;
            }
            writeln!(out, "\n<details>\n<summary>{}</summary>\n\n```diff", Inline(&row.resource))?;
            open = Some(row.resource.clone());
        }
        write_row(&mut out, &row, &look)?;
        if let Some(fate) = overview.fate(at, &row) {
            writeln!(out, "      → {}", Escaped(&fate))?;
        }
    }
    if open.is_some() {
        out.write_all(b"```\n\n</details>\n")?;
    }
    if left_out > 0 {
        writeln!(
            out,
            "\n{left_out} more {} not shown: `infrahub-sync show --run-id {}` prints them all.",
            plural(left_out, "change is", "changes are"),
            Escaped(run_id)
        )?;
    }
    Ok(())
}

fn write_table(out: &mut impl Write, overview: &Overview<'_>) -> io::Result<()> {
    writeln!(out, "\n| Kind | Source | Destination | Create | Update | Delete | Skipped |")?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|--:|")?;
    let number = |count: u64| {
        if count == 0 { String::new() } else { count.to_string() }
    };
    let changed = overview.kinds.iter().filter(|kind| Counts::of(kind) != Counts::default());
    for kind in changed {
        let [create, update, delete, skipped] = [kind.create, kind.update, kind.delete, kind.skipped].map(number);
        writeln!(
            out,
            "| {} | {} | {} | {create} | {update} | {delete} | {skipped} |",
            Inline(&kind.kind),
            kind.source_rows,
            kind.destination_rows
        )?;
    }
    Ok(())
}

/// Writes one object: the forge colours `+` and `-`, and `!` marks a change.
fn write_row(out: &mut impl Write, row: &PlanRow, look: &Look) -> io::Result<()> {
    out.write_all(match (row.skip_reason.is_some(), row.action) {
        (true, _) => b"# ",
        (false, Action::Create) => b"+ ",
        (false, Action::Update) => b"! ",
        (false, Action::Delete) => b"- ",
    })?;
    write_escaped(out, &row.source_id)?;
    if let Some(reason) = &row.skip_reason {
        return writeln!(out, " ({} skipped: {})", row.action.as_str(), Escaped(reason));
    }
    if let Some(evidence) = &row.evidence {
        write!(out, " ({}{})", evidence_words(evidence), Escaped(evidence))?;
    }
    if let Some(along) = taken_along(row) {
        write!(out, " (takes along: {along})")?;
    }
    out.write_all(b"\n")?;
    match (Fields::parse(row.old_value.as_deref()), Fields::parse(row.new_value.as_deref())) {
        (Ok(old), Ok(new)) => match row.action {
            Action::Create => new.iter().try_for_each(|(field, value)| {
                write_name(out, field)?;
                write_value(out, value, look)?;
                out.write_all(b"\n")
            }),
            Action::Update => {
                for (field, value) in new.iter() {
                    write_name(out, field)?;
                    write_change(out, old.get(field), Some(value), look)?;
                    out.write_all(b"\n")?;
                }
                for (field, value) in old.iter().filter(|(field, _)| new.get(field).is_none()) {
                    write_name(out, field)?;
                    write_change(out, Some(value), None, look)?;
                    out.write_all(b"\n")?;
                }
                Ok(())
            }
            Action::Delete => Ok(()),
        },
        _ => {
            for text in [&row.old_value, &row.new_value].into_iter().flatten() {
                writeln!(out, "    {}", Escaped(text))?;
            }
            Ok(())
        }
    }
}

fn write_name(out: &mut impl Write, field: &str) -> io::Result<()> {
    out.write_all(b"    ")?;
    write_escaped(out, field)?;
    out.write_all(b": ")
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn markdown(overview: &Overview<'_>, rows: Vec<PlanRow>) -> String {
        let mut out = Vec::new();
        write(&mut out, overview, fixture::ok(rows)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_plan_for_a_merge_request() {
        let (overview, rows) = fixture::plan();
        insta::assert_snapshot!(markdown(&overview, rows), @r#"
        **Plan: 2 to create, 3 to update, 1 to delete. 1 difference is skipped.**

        Run `20260102T0304-0011aabb`.

        LocationSite is partial: objects that cannot be used are left out, and none of its objects is deleted.

        | Kind | Source | Destination | Create | Update | Delete | Skipped |
        |---|--:|--:|--:|--:|--:|--:|
        | BuiltinTag | 3 | 2 | 1 | 1 |  | 1 |
        | DcimDevice | 120 | 120 | 1 | 2 | 1 |  |

        <details>
        <summary>BuiltinTag</summary>

        ```diff
        + Grün & <b>
            name: "Grün & <b>"
            description: null
            weight: 3
        ! blue
            description: "" → "two\nlines and \"quotes\""
        # legacy (delete skipped: SKIP_UNMATCHED_DST)
        ```

        </details>

        <details>
        <summary>DcimDevice</summary>

        ```diff
        + atl01__edge1
            name: "edge1"
            site: "atl01"
            tags: ["blue","red"]
        ! atl01__edge2
            status: "active" → "planned"
            comments: "…cididunt ut labore." (100 characters) → "…cididunt ut LABORE." (100 characters)
            tags: +"violet" -"yellow" (7 unchanged)
            rack: "r1" → unset
        ! atl01__edge1
            primary_address: null → "10.0.0.1/32"
        - evil\u{1b}[2J\r\u{202e}name (not in the source: full read of 120 objects at 2026-01-02T03:04:05Z)
        ```

        </details>
        "#);
    }

    #[test]
    fn in_sync_is_one_sentence() {
        let overview = fixture::overview(&[("BuiltinTag", 3, 3, Counts::default())]);
        insta::assert_snapshot!(markdown(&overview, vec![]), @r"
        **In sync: nothing to create, update or delete (3 objects of 1 kind in the source).**

        Run `20260102T0304-0011aabb`.
        ");
    }

    #[test]
    fn the_words_of_an_adapter_are_no_markup() {
        let text = "https://evil.example/x www.evil.example [a](b) <img src=x> @all #1 ~~x~~ a@b.example";
        assert_eq!(
            Inline(text).to_string(),
            "https&#58;//evil.example/x &#119;ww.evil.example &#91;a&#93;(b) &lt;img src=x&gt; &#64;all &#35;1 &#126;&#126;x&#126;&#126; a&#64;b.example"
        );
    }

    #[test]
    fn nothing_closes_the_fence_or_calls_people() {
        let overview = fixture::overview(&[("@all|<b>`", 1, 0, fixture::counts(1, 0, 0, 0))]);
        let row = fixture::row(Action::Create, "@all|<b>`", "```\n</details>", None, Some(r#"{"a":"\n```\n"}"#));
        insta::assert_snapshot!(markdown(&overview, vec![row]), @r#"
        **Plan: 1 to create, 0 to update, 0 to delete.**

        Run `20260102T0304-0011aabb`.

        | Kind | Source | Destination | Create | Update | Delete | Skipped |
        |---|--:|--:|--:|--:|--:|--:|
        | &#64;all&#124;&lt;b&gt;&#96; | 1 | 0 | 1 |  |  |  |

        <details>
        <summary>&#64;all&#124;&lt;b&gt;&#96;</summary>

        ```diff
        + ```\n</details>
            a: "\n```\n"
        ```

        </details>
        "#);
    }

    #[test]
    fn a_large_plan_is_cut() {
        let overview = fixture::overview(&[("A", 0, 9, fixture::counts(0, 0, 20_000, 0))]);
        let row = fixture::row(Action::Delete, "A", "some object", None, None);
        let text = markdown(&overview, vec![row; 20_000]);
        assert!(text.len() < 61_000);
        let end = text.get(text.rfind("```").unwrap()..).unwrap().to_owned();
        insta::assert_snapshot!(end, @r"
        ```

        </details>

        15732 more changes are not shown: `infrahub-sync show --run-id 20260102T0304-0011aabb` prints them all.
        ");
    }
}
