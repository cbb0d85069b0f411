//! CPU time, medians and tables.

use std::time::Duration;

use cpu_time::ProcessTime;

/// Whatever stops the benchmark.
pub(crate) type Failed = Box<dyn std::error::Error>;

/// Returns the median CPU time of `runs` runs, after one that does not count. All threads of the process count.
pub(crate) fn median<T>(runs: usize, mut work: impl FnMut() -> Result<T, Failed>) -> Result<Duration, Failed> {
    median_of(runs, || (), |()| work())
}

/// As [`median`]; what `prepare` does is not timed.
pub(crate) fn median_of<P, T>(
    runs: usize,
    mut prepare: impl FnMut() -> P,
    mut work: impl FnMut(P) -> Result<T, Failed>,
) -> Result<Duration, Failed> {
    let mut once = || -> Result<Duration, Failed> {
        let prepared = prepare();
        let begin = ProcessTime::now();
        let value = work(prepared)?;
        let taken = begin.elapsed();
        // To free the value is not part of the work.
        drop(value);
        Ok(taken)
    };
    once()?;
    let mut taken = (0..runs).map(|_| once()).collect::<Result<Vec<_>, _>>()?;
    taken.sort_unstable();
    Ok(taken.get(taken.len() / 2).copied().unwrap_or_default())
}

/// Nanoseconds an object.
pub(crate) fn each(taken: Duration, objects: usize) -> f64 {
    taken.as_nanos() as f64 / objects.max(1) as f64
}

/// A table of one line a thing and one column a size.
pub(crate) struct Table {
    sizes: Vec<usize>,
    lines: Vec<(String, Vec<f64>, String)>,
    title: &'static str,
    note: &'static str,
}

impl Table {
    /// `note` is the head of the last column.
    pub(crate) fn new(title: &'static str, note: &'static str, sizes: &[usize]) -> Table {
        Table { sizes: sizes.to_vec(), lines: Vec::new(), title, note }
    }

    /// Adds a value to the line of that name.
    pub(crate) fn put(&mut self, line: &str, ns: f64) {
        match self.lines.iter_mut().find(|(name, _, _)| name == line) {
            Some((_, values, _)) => values.push(ns),
            None => self.lines.push((line.to_owned(), vec![ns], String::new())),
        }
    }

    /// Returns the last value of a line.
    pub(crate) fn last(&self, line: &str) -> Option<f64> {
        self.lines.iter().find(|(name, _, _)| name == line)?.1.last().copied()
    }

    /// Sets the last column of a line.
    pub(crate) fn say(&mut self, line: &str, text: String) {
        if let Some((_, _, note)) = self.lines.iter_mut().find(|(name, _, _)| name == line) {
            *note = text;
        }
    }

    /// Prints it. Whatever is not a note is nanoseconds of CPU time.
    pub(crate) fn print(&self) {
        let sizes: Vec<String> = self.sizes.iter().map(|size| format!("{size} objects")).collect();
        println!("\n### {}\n", self.title);
        println!("| ns an object | {} | {} |", sizes.join(" | "), self.note);
        println!("|---|{}---|", "---:|".repeat(self.sizes.len()));
        for (name, values, note) in &self.lines {
            let values: Vec<String> = values.iter().map(|value| format!("{value:.0}")).collect();
            println!("| {name} | {} | {note} |", values.join(" | "));
        }
    }
}
