//! Credentials, and the guard that keeps them out of every text.

use std::fmt;
use std::sync::Arc;

/// A credential.
///
/// It can be neither printed nor serialized: `Debug` shows `***`, and there is no `Display`. Who needs the text has to ask for it by
/// name, which makes each such place easy to find.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Takes a credential into custody.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The credential itself: for the request that it belongs to, and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

/// Shorter secrets are left alone by [`Scrubber`]: they occur by accident in ordinary text, and masking `a` would ruin every message.
const SCRUBBED_LEN_MIN: usize = 6;

/// Masks known secrets in text that somebody else wrote: an adapter's message, a server's answer that is recorded.
#[derive(Clone, Default, Debug)]
pub(crate) struct Scrubber {
    secrets: Arc<[Secret]>,
}

impl Scrubber {
    pub(crate) fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut secrets: Vec<Secret> = secrets.into_iter().filter(|secret| secret.expose().len() >= SCRUBBED_LEN_MIN).collect();
        // The longest first, or a secret that contains another would be left half visible.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Self { secrets: secrets.into() }
    }

    /// The text with each secret replaced by `***`.
    pub(crate) fn scrub(&self, text: String) -> String {
        self.secrets
            .iter()
            .fold(text, |text, secret| if text.contains(secret.expose()) { text.replace(secret.expose(), "***") } else { text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter22")), "***");
    }

    #[test]
    fn scrubber_masks_the_longest_first_and_leaves_short_ones() {
        let scrubber = Scrubber::new([Secret::new("abcdef"), Secret::new("abcdef-123"), Secret::new("x")]);
        assert_eq!(scrubber.scrub("token abcdef-123, abcdef x".into()), "token ***, *** x");
        assert!(!format!("{scrubber:?}").contains("abc"));
    }
}
