//! Credentials, and the guard that keeps them out of every text.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE as BASE64_URL};
use memchr::memmem;

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

    /// Returns the credential itself: only for the request that it belongs to.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(MASK)
    }
}

/// The text that replaces a secret.
const MASK: &str = "***";
/// Characters of a secret that occurs nowhere by accident.
const UNLIKELY_ALWAYS: usize = 16;
/// The same, of one with letters and digits.
const UNLIKELY_MIXED: usize = 8;
/// Shorter forms are masked as whole words only: `x` occurs in every sentence.
const WORD_BYTES: usize = 6;
/// Tokens of logins that are remembered. Older ones have expired long ago.
const TOKENS_MAX: usize = 64;

/// It is long and mixed enough that a server's answer which has it does not have it by accident. Passwords like `infrahub` are the names
/// of things, too.
fn is_unlikely(text: &str) -> bool {
    let count = text.chars().count();
    let has = |kind: fn(&char) -> bool| text.chars().any(|c| kind(&c));
    count >= UNLIKELY_ALWAYS || (count >= UNLIKELY_MIXED && has(|c| c.is_alphabetic()) && has(|c| c.is_numeric()))
}

/// Masks known secrets in foreign texts, in every form in which they are sent or repeated. Clones know the same secrets.
///
/// There are two degrees. Words for people and recordings lose every secret. An answer, which becomes data, loses those that cannot be
/// there by accident: a password `infrahub` must not turn each `infrahub` of a schema into `***`.
#[derive(Clone, Default)]
pub(crate) struct Scrubber(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    settings: Vec<Secret>,
    tokens: VecDeque<Secret>,
    masks: Arc<Masks>,
}

impl Known {
    fn make_masks(&mut self) {
        self.masks = Arc::new(Masks::new(self.settings.iter().chain(&self.tokens)));
    }
}

/// The texts that are searched for.
#[derive(Default)]
struct Masks {
    words: Vec<Mask>,
    answers: Vec<Mask>,
}

/// Forms that are looked for only where what they have in common is found: answers have megabytes, and hardly ever a secret.
struct Mask {
    common: memmem::Finder<'static>,
    forms: Vec<memmem::Finder<'static>>,
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Scrubber")
    }
}

impl Scrubber {
    /// Knows these secrets.
    pub(crate) fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let scrubber = Self::default();
        scrubber.know(secrets);
        scrubber
    }

    /// Knows these, too.
    pub(crate) fn know(&self, secrets: impl IntoIterator<Item = Secret>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.settings.extend(secrets);
        known.make_masks();
    }

    /// Learns what a login gave.
    pub(crate) fn learn(&self, token: Secret) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.tokens.push_back(token);
        if known.tokens.len() > TOKENS_MAX {
            known.tokens.pop_front();
        }
        known.make_masks();
    }

    fn masks(&self) -> Arc<Masks> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).masks.clone()
    }

    /// Words without secrets.
    pub(crate) fn scrub(&self, text: String) -> String {
        match masked(&self.masks().words, text.as_bytes()) {
            // What is masked is whole characters, so the rest is, too.
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => text,
        }
    }

    /// Bytes of a recording without secrets; none when they have none.
    pub(crate) fn scrub_bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        masked(&self.masks().words, bytes)
    }

    /// Returns an answer without secrets; none when it contains no secret. That is nearly always, and is found at some gigabytes a second.
    pub(crate) fn scrub_answer(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        masked(&self.masks().answers, bytes)
    }
}

impl Masks {
    fn new<'s>(secrets: impl IntoIterator<Item = &'s Secret> + Clone) -> Self {
        let words = secrets.clone().into_iter().flat_map(Mask::all).collect();
        let answers = secrets.into_iter().filter(|secret| is_unlikely(secret.expose())).flat_map(Mask::all).collect();
        Self { words, answers }
    }
}

impl Mask {
    /// Returns the masks of a secret. No way of escaping changes its longest run of letters and digits; base64 has nothing in common with it.
    fn all(secret: &Secret) -> Vec<Mask> {
        let runs = secret.expose().split(|c: char| !c.is_ascii_alphanumeric());
        let common = runs.max_by_key(|run| run.len()).unwrap_or_default();
        let shared = memmem::Finder::new(common);
        let (escaped, others): (Vec<Vec<u8>>, Vec<Vec<u8>>) = forms(secret).into_iter().partition(|form| shared.find(form).is_some());
        let mask = |common: &[u8], forms: &[Vec<u8>]| Mask {
            common: memmem::Finder::new(common).into_owned(),
            forms: forms.iter().map(|form| memmem::Finder::new(form).into_owned()).collect(),
        };
        let escaped = Some(mask(common.as_bytes(), &escaped)).filter(|mask| !mask.forms.is_empty());
        escaped.into_iter().chain(others.iter().map(|form| mask(form, std::slice::from_ref(form)))).collect()
    }
}

/// Returns the bytes with each match masked; none when there is no match.
fn masked(masks: &[Mask], bytes: &[u8]) -> Option<Vec<u8>> {
    let here = masks.iter().filter(|mask| mask.common.find(bytes).is_some());
    let mut found: Vec<(usize, usize)> = here
        .flat_map(|mask| &mask.forms)
        .flat_map(|form| form.find_iter(bytes).map(|start| (start, start + form.needle().len())))
        .filter(|&(start, end)| {
            let in_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii());
            let before = start.checked_sub(1).and_then(|at| bytes.get(at));
            end - start >= WORD_BYTES || !(in_word(before) || in_word(bytes.get(end)))
        })
        .collect();
    let forms = masks.iter().flat_map(|mask| &mask.forms);
    found.extend(forms.filter_map(|form| Some((beginning_at_end(form.needle(), bytes)?, bytes.len()))));
    if found.is_empty() {
        return None;
    }
    found.sort_unstable();
    // What overlaps becomes one mask: of two secrets that share some characters, nothing of either is left.
    let (mut masked, mut end) = (Vec::with_capacity(bytes.len()), 0);
    for (start, its_end) in found {
        if start >= end {
            masked.extend_from_slice(&bytes[end..start]);
            masked.extend_from_slice(MASK.as_bytes());
        }
        end = end.max(its_end);
    }
    masked.extend_from_slice(&bytes[end..]);
    Some(masked)
}

/// Returns where the beginning of a form ends the bytes: an answer that a server did not finish. A few characters of it can be there by
/// accident, so they stay.
fn beginning_at_end(form: &[u8], bytes: &[u8]) -> Option<usize> {
    let least = form.get(..UNLIKELY_MIXED)?;
    let from = bytes.len().saturating_sub(form.len() - 1);
    let last = &bytes[from..];
    let whole = |at: &usize| form.starts_with(&last[*at..]) && is_unlikely(&String::from_utf8_lossy(&last[*at..]));
    memmem::find_iter(last, least).find(whole).map(|at| from + at)
}

/// Returns the forms in which a secret is sent, or repeated by a server: as it is, and escaped for JSON, URLs, forms and HTML, and as base64.
fn forms(secret: &Secret) -> BTreeSet<Vec<u8>> {
    // A server may have cut spaces and a line's end off.
    let texts = [secret.expose(), secret.expose().trim()];
    let forms = texts.into_iter().flat_map(forms_of).map(String::into_bytes);
    forms.chain(texts.into_iter().filter(|text| text.chars().count() >= UNLIKELY_MIXED).flat_map(disguises)).collect()
}

/// Returns the forms in which no server repeats a secret by accident: every character escaped, other alphabets, hexadecimal digits, UTF-16,
/// another case. Those of short secrets would occur in any text.
fn disguises(text: &str) -> BTreeSet<Vec<u8>> {
    let mut forms: BTreeSet<String> = [text.to_lowercase(), text.to_uppercase()].into();
    let each = |byte: &dyn Fn(u8) -> String| text.bytes().map(byte).collect::<String>();
    forms.extend([each(&|byte| format!("{byte:02x}")), each(&|byte| format!("{byte:02X}"))]);
    forms.extend([each(&|byte| format!("%{byte:02x}")), each(&|byte| format!("%{byte:02X}"))]);
    let all = |unit: &dyn Fn(char) -> String| text.chars().map(unit).collect::<String>();
    // All characters, or those that are neither letters nor digits, or those that HTML and some JSON writers escape.
    let rules: [fn(char) -> bool; 5] = [
        |_| true,
        |c| !c.is_ascii_alphanumeric(),
        |c| matches!(c, '<' | '>' | '&'),
        |c| matches!(c, '<' | '>' | '&' | '\''),
        |c| matches!(c, '<' | '>' | '&' | '\'' | '=' | '+' | '"' | '/'),
    ];
    for escaped in rules {
        let with = |unit: &dyn Fn(char) -> String| all(&|c| if escaped(c) { unit(c) } else { c.to_string() });
        forms.extend([with(&|c| utf16(c, false)), with(&|c| utf16(c, true))]);
        forms.extend([
            with(&|c| format!("&#{};", u32::from(c))),
            with(&|c| format!("&#x{:x};", u32::from(c))),
            with(&|c| format!("&#x{:X};", u32::from(c))),
        ]);
    }
    let mut forms: BTreeSet<Vec<u8>> = forms.into_iter().map(String::into_bytes).collect();
    forms.insert(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    forms.insert(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    // Within a longer text that is base64 as a whole, it begins at one of three places; its first and last characters depend on the neighbors.
    for (before, unknown) in [(0, 0), (1, 2), (2, 3)] {
        let bytes = [vec![0; before], text.as_bytes().to_vec()].concat();
        let partly = usize::from(bytes.len() % 3 != 0);
        for encoded in [BASE64.encode(&bytes), BASE64_URL.encode(&bytes)] {
            let whole = encoded.trim_end_matches('=');
            forms.extend(whole.get(unknown..whole.len() - partly).map(|form| form.as_bytes().to_vec()));
        }
    }
    forms
}

fn forms_of(text: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([text.to_owned()]);
    let json = serde_json::to_string(text).unwrap_or_default();
    let quoted = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or_default();
    forms.insert(quoted.replace('/', "\\/"));
    for digits in [false, true] {
        let ascii = quoted.chars().map(|c| if c.is_ascii() { c.to_string() } else { utf16(c, digits) });
        forms.insert(ascii.collect());
    }
    forms.insert(quoted.to_owned());
    // What is left as it is differs: RFC 3986, forms, paths, JavaScript's encodeURIComponent.
    for kept in ["-._~", "-._*", "-._~/", "-._~!*'()"] {
        for space in ["%20", "+"] {
            for upper in [true, false] {
                let encoded = text.bytes().map(|byte| match byte {
                    b' ' => space.to_owned(),
                    byte if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) => char::from(byte).to_string(),
                    byte if upper => format!("%{byte:02X}"),
                    byte => format!("%{byte:02x}"),
                });
                forms.insert(encoded.collect());
            }
        }
    }
    for (double, single) in [("&quot;", "&#x27;"), ("&#34;", "&#39;"), ("&quot;", "&#039;"), ("&quot;", "'")] {
        let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', double).replace('\'', single);
        forms.insert(html);
    }
    // Without its padding, which some leave out.
    forms.insert(BASE64.encode(text).trim_end_matches('=').to_owned());
    forms.remove("");
    forms
}

/// Returns a character as JSON in plain ASCII has it.
fn utf16(c: char, upper: bool) -> String {
    let mut units = [0; 2];
    let unit = |unit: &u16| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
    c.encode_utf16(&mut units).iter().map(unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubber(secrets: &[&str]) -> Scrubber {
        Scrubber::new(secrets.iter().map(|secret| Secret::new(*secret)))
    }

    fn answer(scrubber: &Scrubber, text: &str) -> Option<String> {
        scrubber.scrub_answer(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter22")), "***");
    }

    #[test]
    fn the_longest_is_masked_and_short_ones_as_words() {
        let scrubber = scrubber(&["abcdef", "abcdef-123", "x", "ab"]);
        assert_eq!(scrubber.scrub("token abcdef-123, xabcdefx x, ab-ab xx _x éx".into()), "token ***, x***x ***, ***-*** xx _x éx");
        assert_eq!(scrubber.scrub("nothing".into()), "nothing");
        assert!(!format!("{scrubber:?}").contains("abc"));
        assert_eq!(Scrubber::default().scrub("abcdef".into()), "abcdef");
        assert_eq!(self::scrubber(&[""]).scrub("abcdef".into()), "abcdef");
    }

    #[test]
    fn every_form_that_is_sent_or_repeated_is_masked() {
        let secret = "pä s\"w/o&r'd<1>+\n";
        let scrubber = scrubber(&[secret]);
        let forms = [
            secret.to_owned(),
            serde_json::to_string(secret).unwrap(),
            r#"p\u00e4 s\"w/o&r'd<1>+\n"#.to_owned(),
            r#"p\u00E4 s\"w/o&r'd<1>+\n"#.to_owned(),
            r#"pä s\"w\/o&r'd<1>+\n"#.to_owned(),
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>(),
            "p%C3%A4%20s%22w%2Fo%26r%27d%3C1%3E%2B%0A".to_owned(),
            "p%c3%a4%20s%22w/o%26r%27d%3c1%3e%2b%0a".to_owned(),
            "p%C3%A4%20s%22w%2Fo%26r'd%3C1%3E%2B%0A".to_owned(),
            "pä s&quot;w/o&amp;r&#x27;d&lt;1&gt;+\n".to_owned(),
            "pä s&#34;w/o&amp;r&#39;d&lt;1&gt;+".to_owned(),
            BASE64.encode(secret),
        ];
        for form in forms {
            for text in [scrubber.scrub(form.clone()), answer(&scrubber, &form).unwrap_or_default()] {
                assert!(text.contains("***") && !text.contains("d<1") && !text.contains("1>") && text.len() < 9, "{form} → {text}");
            }
        }
    }

    #[test]
    fn disguises_are_masked_too() {
        let secret = "nbt_Ab<1>&'c/+9=x";
        let scrubber = scrubber(&[secret, "rack"]);
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut forms = vec![
            secret.to_uppercase(),
            secret.to_lowercase(),
            hex.to_uppercase(),
            hex,
            secret.bytes().map(|byte| format!("%{byte:02x}")).collect(),
            secret.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect(),
            secret.chars().map(|c| format!("&#{};", u32::from(c))).collect(),
            r"nbt_Ab\u003c1\u003e\u0026'c/+9=x".to_owned(),
            r"nbt_Ab\u003C1\u003E\u0026\u0027c\u002F\u002B9\u003Dx".to_owned(),
            "nbt&#95;Ab&#60;1&#62;&#38;&#39;c&#47;&#43;9&#61;x".to_owned(),
        ];
        for (engine, before) in [(&BASE64, ""), (&BASE64, "a"), (&BASE64, "ab"), (&BASE64_URL, ""), (&BASE64_URL, "a"), (&BASE64_URL, "ab")]
        {
            forms.push(engine.encode(format!("{before}{secret}: and more")));
        }
        for form in forms {
            let masked = answer(&scrubber, &form).unwrap_or_default();
            assert!(masked.contains("***"), "{form} → {masked}");
        }
        for utf16 in [u16::to_le_bytes, u16::to_be_bytes] {
            let bytes: Vec<u8> = secret.encode_utf16().flat_map(utf16).collect();
            assert_eq!(scrubber.scrub_answer(&bytes).as_deref(), Some(&b"***"[..]));
        }
        // The digits of a short secret are in any text.
        assert_eq!(scrubber.scrub("72 61 7261636b RACK".into()), "72 61 7261636b RACK");
    }

    #[test]
    fn an_answer_keeps_what_may_be_there_by_accident() {
        let scrubber = scrubber(&["infrahub", "rack1", "0123456789abcdef", "hunter22", "correct horse battery"]);
        assert_eq!(answer(&scrubber, "infrahub rack1"), None);
        assert_eq!(answer(&scrubber, "0123456789abcdef, hunter22."), Some("***, ***.".into()));
        assert_eq!(answer(&scrubber, "correct+horse%20battery correct%20horse%20battery"), Some("correct+horse%20battery ***".into()));
        assert_eq!(scrubber.scrub("infrahub rack1".into()), "*** ***");
    }

    #[test]
    fn a_secret_that_is_cut_at_the_end_is_masked() {
        let scrubber = scrubber(&["0123456789abcdef/+ghi", "infrahub-secret-1", "päss\"word12345678"]);
        for cut in ["0123456789a", "0123456789abcdef", "0123456789abcdef%2F%2", "MDEyMzQ1Njc4OWFi", "päss\\\"word12"] {
            assert_eq!(scrubber.scrub(format!("{{\"note\": \"{cut}")), "{\"note\": \"***", "{cut}");
            assert_eq!(answer(&scrubber, &format!("0123456789ab {cut}")), Some("0123456789ab ***".into()), "{cut}");
        }
        // Neither what is likely, nor what goes on in another way.
        for text in ["to infrahub", "of infrahub-", "0123456789", "0123456789abX", ""] {
            assert_eq!(scrubber.scrub(text.into()), text);
        }
    }

    #[test]
    fn what_a_login_gave_is_known_until_it_is_old() {
        let scrubber = scrubber(&["abcdef"]);
        let clone = scrubber.clone();
        scrubber.learn(Secret::new("token-of-a-login"));
        assert_eq!(clone.scrub("abcdef token-of-a-login".into()), "*** ***");
        for number in 0..TOKENS_MAX {
            scrubber.learn(Secret::new(format!("token-number-{number}")));
        }
        assert_eq!(clone.scrub("abcdef token-of-a-login token-number-0 token-number-63".into()), "*** token-of-a-login *** ***");
    }

    #[test]
    fn bytes_that_are_no_text_are_masked_too() {
        let masked = scrubber(&["0123456789abcdef"]).scrub_answer(b"\xff\x000123456789abcdef\xfe");
        assert_eq!(masked.as_deref(), Some(&b"\xff\x00***\xfe"[..]));
    }
}
