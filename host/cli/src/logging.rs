//! The log: `tracing` events on stderr.
//!
//! By default, only warnings are shown, as a sentence each, and that an adapter is being compiled. `-v` and `INFRAHUB_SYNC_LOG` show spans, fields and time. Results, such as the
//! folder of a run, are not log lines: [`crate::screen::Screen::info`] shows them. With `--log-format json`, both are one JSON object per
//! line.
//!
//! Other crates never log below `info`, whatever the filter: HTTP/2 would log every header, including tokens and session cookies.

use std::fmt;

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets, filter_fn};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::Uptime;
use tracing_subscriber::fmt::{FmtContext, Layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::{LogFormat, Verbosity};
use crate::escape::Escaped;
use crate::screen::Screen;
use infrahub_sync_runtime::COMPILING;

/// Returns the filter: details of our crates, and warnings of other crates.
fn targets(verbosity: Verbosity, wanted: Option<&str>) -> Result<Targets, ParseError> {
    if let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) {
        return wanted.parse();
    }
    Ok(match verbosity {
        Verbosity::Quiet => Targets::new().with_default(LevelFilter::ERROR),
        Verbosity::Default => Targets::new().with_default(LevelFilter::WARN).with_target(COMPILING, LevelFilter::INFO),
        // A target is a prefix: this one covers all of our crates.
        Verbosity::Verbose => Targets::new().with_default(LevelFilter::WARN).with_target(OURS, LevelFilter::DEBUG),
    })
}

/// The prefix of the targets of all our crates.
const OURS: &str = "infrahub_sync";

/// Returns whether an event may be logged, whatever the filter.
fn may_be_logged(event: &Metadata<'_>) -> bool {
    event.target().starts_with(OURS) || *event.level() <= Level::INFO
}

/// Starts the log, for commands that log.
pub(crate) fn start(screen: &Screen, wanted: Option<&str>) -> Result<(), ParseError> {
    let targets = targets(screen.verbosity(), wanted)?;
    let layer = Layer::new().with_writer(screen.clone()).with_ansi(screen.has_colour());
    let registry = tracing_subscriber::registry().with(filter_fn(may_be_logged));
    let is_detailed = wanted.is_some_and(|wanted| !wanted.is_empty()) || screen.verbosity() == Verbosity::Verbose;
    // A second call fails because the log has already started.
    let _ = if screen.format() == LogFormat::Json {
        registry.with(targets).with(layer.json().flatten_event(true).with_current_span(false)).try_init()
    } else if is_detailed {
        registry.with(targets).with(layer.with_timer(Uptime::default())).try_init()
    } else {
        registry.with(targets).with(layer.event_format(Words)).try_init()
    };
    Ok(())
}

/// An event as a sentence: `warning: words, field=value`.
struct Words;

impl<S, N> FormatEvent<S, N> for Words
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (word, colour) = match *event.metadata().level() {
            Level::ERROR => ("error:", anstyle::AnsiColor::Red),
            Level::WARN => ("warning:", anstyle::AnsiColor::Yellow),
            _ => ("", anstyle::AnsiColor::White),
        };
        if word.is_empty() {
            // Progress, not a finding.
        } else if writer.has_ansi_escapes() {
            let style = colour.on_default().bold();
            write!(writer, "{style}{word}{style:#} ")?;
        } else {
            write!(writer, "{word} ")?;
        }
        let mut words = String::new();
        context.format_fields(Writer::new(&mut words), event)?;
        // Further lines are indented: an adapter's text must not look like ours.
        let mut lines = words.split('\n');
        write!(writer, "{}", Escaped(lines.next().unwrap_or_default()))?;
        lines.try_for_each(|line| write!(writer, "\n    {}", Escaped(line)))?;
        writeln!(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(buffer)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_warning_is_a_sentence() {
        let page = Page::default();
        let writer = page.clone();
        let layer = Layer::new().with_writer(move || writer.clone()).with_ansi(false).event_format(Words);
        let subscriber = tracing_subscriber::registry().with(targets(Verbosity::Default, None).unwrap()).with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("not shown");
            tracing::warn!(kind = "DcimDevice", "two objects have one \u{1b}[31mname");
            tracing::error!("it broke\nerror: forged\r\u{202e}");
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        insta::assert_snapshot!(text, @r#"
        warning: two objects have one \x1b[31mname kind="DcimDevice"
        error: it broke
            error: forged\r\u{202e}
        "#);
    }

    #[test]
    fn other_crates_never_log_below_info() {
        let page = Page::default();
        let writer = page.clone();
        let layer = Layer::new().with_writer(move || writer.clone()).with_ansi(false).without_time();
        let targets = targets(Verbosity::Default, Some("trace")).unwrap();
        let subscriber = tracing_subscriber::registry().with(filter_fn(may_be_logged)).with(targets).with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "h2::codec", "authorization: hunter2");
            tracing::debug!(target: "hyper", "set-cookie: hunter2");
            tracing::info!(target: "hyper", "a connection");
            tracing::trace!(target: "infrahub_sync_runtime", "ours");
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        insta::assert_snapshot!(text, @r"
         INFO hyper: a connection
        TRACE infrahub_sync_runtime: ours
        ");
    }

    #[test]
    fn levels() {
        let enabled = |verbosity, wanted, target: &str, level| targets(verbosity, wanted).unwrap().would_enable(target, &level);
        assert!(!enabled(Verbosity::Quiet, None, "x", Level::WARN));
        assert!(enabled(Verbosity::Default, None, "x", Level::WARN));
        assert!(!enabled(Verbosity::Verbose, None, "hyper", Level::INFO));
        assert!(enabled(Verbosity::Verbose, None, "infrahub_sync_engine::load", Level::DEBUG));
        assert!(enabled(Verbosity::Quiet, Some("hyper=trace"), "hyper", Level::TRACE));
        assert!(targets(Verbosity::Default, Some("a=b=c")).is_err());
    }
}
