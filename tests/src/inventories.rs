//! The servers that tests of NetBox and Nautobot as destinations need beside those of [`live`](crate::live).

use std::process::Command;

use crate::live::{NetBox, live_folder, must, root};

/// Parses the report of `up`: `netbox 4.7.3 on http://…`, and `token … (THE TOKEN)`.
fn address_and_token(report: &str) -> (String, String) {
    let url = report.split_whitespace().find(|word| word.starts_with("http://")).expect("an address in the report").to_owned();
    let line = report.lines().find(|line| line.starts_with("token")).expect("a token in the report");
    let token = line.rsplit('(').next().and_then(|rest| rest.strip_suffix(')')).expect("a token in the report");
    (url, token.to_owned())
}

/// A second NetBox, for as long as a test needs it.
#[derive(Debug)]
pub struct Second {
    /// The server.
    pub netbox: NetBox,
}

impl Second {
    /// Starts one, beside the first and without any objects.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn start() -> Second {
        let (url, token) = address_and_token(&must(Second::command().arg("reset")));
        Second { netbox: NetBox { url, token } }
    }

    /// Returns the command for its script: other ports and another folder, the same programs.
    fn command() -> Command {
        let mut command = Command::new("tests/live/netbox.sh");
        command.env("NETBOX_VENV", live_folder().join("netbox/venv")).env("INFRAHUB_SYNC_LIVE_DIR", live_folder().join("second"));
        for (name, port) in [("NETBOX_PORT", "18032"), ("NETBOX_PG_PORT", "55442"), ("NETBOX_REDIS_PORT", "56389")] {
            command.env(name, port);
        }
        command
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = Second::command().arg("down").current_dir(root()).output();
    }
}

/// The Nautobot.
#[derive(Debug, Clone)]
pub struct Nautobot {
    /// Its address.
    pub url: String,
    /// Its token.
    pub token: String,
}

impl Nautobot {
    /// Starts it without any objects.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn empty() -> Nautobot {
        let (url, token) = address_and_token(&must(Command::new("tests/live/nautobot.sh").arg("reset")));
        Nautobot { url, token }
    }
}
