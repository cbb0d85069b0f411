//! Colours, signs and folding.

use anstyle::{AnsiColor, Style};
use infrahub_sync_core::plan_row::Action;

/// Colours and folding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Shows long values in full, and the values of deleted and skipped objects.
    pub(super) unfold: bool,
    pub(super) heading: Style,
    pub(super) create: Style,
    pub(super) update: Style,
    pub(super) delete: Style,
    pub(super) dim: Style,
}

impl Look {
    /// Returns a look with or without colours.
    pub(crate) fn new(colour: bool, unfold: bool) -> Look {
        let style = |style: Style| if colour { style } else { Style::new() };
        Look {
            unfold,
            heading: style(Style::new().bold()),
            create: style(AnsiColor::Green.on_default()),
            update: style(AnsiColor::Yellow.on_default()),
            delete: style(AnsiColor::Red.on_default()),
            dim: style(Style::new().dimmed()),
        }
    }

    /// Returns the style of an action.
    pub(super) fn of(&self, action: Action) -> Style {
        match action {
            Action::Create => self.create,
            Action::Update => self.update,
            Action::Delete => self.delete,
        }
    }
}

/// Returns the sign of an action.
pub(super) fn sign(action: Action) -> &'static str {
    match action {
        Action::Create => "+",
        Action::Update => "~",
        Action::Delete => "-",
    }
}
