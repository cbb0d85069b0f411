//! The cause of a failed build, out of the many lines that a tool writes.

use infrahub_sync_new_adapter::Language;

/// Lines of a cause. One more line names the file with the rest.
const LINES_MAX: usize = 4;
/// Bytes of a line.
const LINE_MAX: usize = 300;

/// Returns the lines of a tool's output that say what is wrong, the cause first.
pub(crate) fn cause(language: Language, said: &str) -> String {
    let found = match language {
        Language::Python => python(said),
        Language::JavaScript => javascript(said),
        Language::Go => go(said),
        Language::Rust => rust(said),
    };
    let lines = if found.is_empty() { any(said) } else { found };
    let cut = |line: String| match line.char_indices().nth(LINE_MAX) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    };
    lines.into_iter().take(LINES_MAX).map(cut).collect::<Vec<_>>().join("\n")
}

/// Finds the exception of the last traceback, and the author's line that raised it.
fn python(said: &str) -> Vec<String> {
    let said = said.split("\nCaused by:").next().unwrap_or(said).split("\nStack backtrace:").next().unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    let is_exception = |line: &&&str| {
        let name = line.split([':', ' ']).next().unwrap_or_default();
        line.starts_with(char::is_alphabetic) && ["Error", "Exception", "Exit", "Interrupt"].iter().any(|end| name.ends_with(end))
    };
    // The outermost line repeats the traceback's first words.
    let Some(exception) = lines.iter().rev().filter(|line| !line.contains("Traceback")).find(is_exception) else { return Vec::new() };
    let mut found = vec![(*exception).to_owned()];
    if let Some(name) = exception.strip_prefix("ModuleNotFoundError: No module named '").and_then(|rest| rest.split(['\'', '.']).next()) {
        found = vec![format!(
            "`{name}` is imported and is not a declared package: add it with its version to `dependencies` in pyproject.toml"
        )];
    }
    // `/0` is the entry, `/1` the author's folder, `/2` that of the SDK.
    let mut places = lines.iter().enumerate().filter_map(|(at, line)| Some((at, line.trim().strip_prefix("File \"/1/")?)));
    if let Some((at, place)) = places.next_back() {
        let (file, line) = place.split_once("\", line ").unwrap_or((place, ""));
        let line: String = line.chars().take_while(char::is_ascii_digit).collect();
        let code = lines.get(at + 1).map(|code| code.trim()).unwrap_or_default();
        found.push(format!("  {file}:{line}: {code}"));
    }
    found
}

/// Finds the errors of esbuild, each with its place.
fn javascript(said: &str) -> Vec<String> {
    let said = said.split("\nnode:").next().unwrap_or(said);
    let mut found = Vec::new();
    let mut lines = said.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((_, error)) = line.split_once("[ERROR] ") else { continue };
        let error = match error.strip_prefix("No matching export in \"").and_then(|rest| rest.split_once("\" for import \"default\"")) {
            Some((file, _)) => format!("{file} does not export the adapter: end it with `export default adapter(…)`"),
            None => error.to_owned(),
        };
        found.push(error);
        let place = lines.by_ref().find(|line| !line.trim().is_empty()).map(str::trim).unwrap_or_default();
        let code = lines.next().and_then(|line| line.split_once('│')).map(|(_, code)| code.trim()).unwrap_or_default();
        if !place.starts_with("entry.js") {
            found.push(format!("  {place} {code}").trim_end().to_owned());
        }
    }
    found
}

/// Finds the compiler's lines, with paths of the author.
fn go(said: &str) -> Vec<String> {
    let is_error = |line: &&str| {
        let mut parts = line.split(':');
        parts.next().is_some_and(|file| file.ends_with(".go") || file.ends_with("go.mod"))
            && parts.next().is_some_and(|line| line.parse::<u32>().is_ok())
    };
    let ours = |line: &str| line.trim_start_matches("./").strip_prefix("adapter/").map_or_else(|| line.to_owned(), str::to_owned);
    said.lines().filter(is_error).map(ours).collect()
}

/// Finds the compiler's errors.
fn rust(said: &str) -> Vec<String> {
    let is_error =
        |line: &&str| line.contains("error") && !line.starts_with("error: could not compile") && !line.starts_with("error: aborting");
    said.lines().filter(is_error).map(str::to_owned).collect()
}

/// Returns the first line with an error and those behind it, else the last lines.
fn any(said: &str) -> Vec<String> {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let first = lines.iter().position(|line| line.to_lowercase().contains("error"));
    let from = first.unwrap_or(lines.len().saturating_sub(LINES_MAX));
    let found: Vec<String> = lines.get(from..).unwrap_or_default().iter().map(|line| (*line).to_owned()).collect();
    if found.is_empty() { vec!["the tool failed and says nothing".to_owned()] } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_of_python_stands_first_with_the_authors_line() {
        let said = "Traceback (most recent call last):\n  File \"/x/bin/componentize-py\", line 8, in <module>\n    sys.exit(script())\n             ^^^^^^^^\nAssertionError: Traceback (most recent call last):\n  File \"/0/infrahub_sync_entry.py\", line 1, in <module>\n    import adapter\n  File \"/1/adapter.py\", line 140\n    def x(:\n          ^\nSyntaxError: invalid syntax\n\n\nCaused by:\n    SyntaxError: invalid syntax (adapter.py, line 140)\n\nStack backtrace:\n   0: <anyhow::Error>::msg\n";
        assert_eq!(cause(Language::Python, said), "SyntaxError: invalid syntax\n  adapter.py:140: def x(:");
        let said = "AssertionError: Traceback (most recent call last):\n  File \"/1/adapter.py\", line 1, in <module>\n    import requests.auth\nModuleNotFoundError: No module named 'requests'\n";
        assert_eq!(
            cause(Language::Python, said),
            "`requests` is imported and is not a declared package: add it with its version to `dependencies` in pyproject.toml\n  adapter.py:1: import requests.auth"
        );
    }

    #[test]
    fn errors_of_the_compilers_stand_alone() {
        let said = "✘ [ERROR] Unexpected \";\"\n\n    adapter.js:2:8:\n      2 │ let x = ;\n        ╵         ^\n\nnode:child_process:930\n    throw err;\n";
        assert_eq!(cause(Language::JavaScript, said), "Unexpected \";\"\n  adapter.js:2:8: let x = ;");
        let said = "✘ [ERROR] No matching export in \"adapter.js\" for import \"default\"\n\n    entry.js:1:7:\n      1 │ import adapter\n";
        assert_eq!(cause(Language::JavaScript, said), "adapter.js does not export the adapter: end it with `export default adapter(…)`");
        assert_eq!(cause(Language::Go, "# racks\nadapter/adapter.go:198:23: undefined: y\n"), "adapter.go:198:23: undefined: y");
        let said = "src/lib.rs:3:5: error[E0425]: cannot find value `y` in this scope\nerror: could not compile `racks`\n";
        assert_eq!(cause(Language::Rust, said), "src/lib.rs:3:5: error[E0425]: cannot find value `y` in this scope");
    }

    #[test]
    fn an_unknown_failure_has_few_lines_and_is_never_empty() {
        let many = (0..100).map(|n| format!("line {n}\n")).collect::<String>();
        assert_eq!(cause(Language::Go, &many).lines().count(), LINES_MAX);
        assert_eq!(cause(Language::Rust, ""), "the tool failed and says nothing");
    }
}
