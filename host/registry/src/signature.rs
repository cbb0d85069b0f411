//! Signatures of publishers, in the format of minisign.
//!
//! A signature is about the bytes of a component, and not about its name or place: `trust:` says whose adapters come from where.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use minisign_verify::{PublicKey, Signature};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::error::{Error, Result};

/// The algorithm of keys, and the one of signatures of a hash.
const ED25519: &[u8; 2] = b"Ed";
const ED25519_OF_HASH: &[u8; 2] = b"ED";
/// A key file without a password.
const NO_PASSWORD: &[u8; 2] = &[0, 0];
const BLAKE2B: &[u8; 2] = b"B2";
/// A password's salt and costs, which are zero without one.
const PASSWORD_BYTES: usize = 32 + 8 + 8;
const ID_BYTES: usize = 8;
const SEED_BYTES: usize = 32;
const PUBLIC_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 32;

/// A new pair of keys, as the texts of their files.
pub struct NewKey {
    /// The text of the secret file. No one else may see it.
    pub secret: String,
    /// The text of the public file.
    pub public: String,
    /// The public key alone, for `trust:`.
    pub line: String,
    /// The id of the pair.
    pub id: String,
}

/// Makes a pair of keys.
///
/// # Errors
/// When the machine has no randomness.
pub fn new_key() -> Result<NewKey> {
    let mut id = [0; ID_BYTES];
    let mut seed = [0; SEED_BYTES];
    let random = getrandom::fill(&mut id).and_then(|()| getrandom::fill(&mut seed));
    random.map_err(|error| Error::Key(format!("this machine has no randomness: {error}")))?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|error| Error::Key(error.to_string()))?;
    let public = pair.public_key().as_ref();
    let (ours, line) = (shown(&id), BASE64.encode([ED25519, &id[..], public].concat()));
    let secret = [&seed[..], public].concat();
    let file = [ED25519, &NO_PASSWORD[..], BLAKE2B, &[0; PASSWORD_BYTES], &id, &secret, &checksum(&id, &secret)].concat();
    Ok(NewKey {
        secret: format!("untrusted comment: minisign secret key {ours}\n{}\n", BASE64.encode(file)),
        public: format!("untrusted comment: minisign public key {ours}\n{line}\n"),
        line,
        id: ours,
    })
}

/// Returns the checksum of a key file.
fn checksum(id: &[u8], secret: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = blake2b_simd::Params::new().hash_length(CHECKSUM_BYTES).hash(&[ED25519, id, secret].concat());
    let mut checksum = [0; CHECKSUM_BYTES];
    checksum.copy_from_slice(hash.as_bytes());
    checksum
}

/// A key that signs.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    id: [u8; ID_BYTES],
}

impl SigningKey {
    /// Reads the text of a secret file.
    ///
    /// # Errors
    /// When it is not a key, is damaged, or has a password. No text holds a part of it.
    pub fn read(text: &str) -> Result<SigningKey> {
        let wrong = || Error::Key("it is not a secret key of minisign".to_owned());
        let bytes = text.lines().nth(1).and_then(|line| BASE64.decode(line.trim()).ok()).ok_or_else(wrong)?;
        let mut rest = bytes.as_slice();
        let mut part = |length: usize| rest.split_off(..length).ok_or_else(wrong);
        let (algorithm, password, hash) = (part(2)?, part(2)?, part(2)?);
        let (_, id, secret, found) = (part(PASSWORD_BYTES)?, part(ID_BYTES)?, part(SEED_BYTES + PUBLIC_BYTES)?, part(CHECKSUM_BYTES)?);
        if algorithm != ED25519 || hash != BLAKE2B || !rest.is_empty() {
            return Err(wrong());
        }
        if password != NO_PASSWORD {
            return Err(Error::Key(
                "it has a password, and this program asks for none; `minisign -C -W` removes it from a copy".to_owned(),
            ));
        }
        // minisign itself leaves it out of a key without a password.
        if found != [0; CHECKSUM_BYTES] && checksum(id, secret) != *found {
            return Err(Error::Key("it is damaged: its checksum is wrong".to_owned()));
        }
        let (seed, public) = secret.split_at(SEED_BYTES);
        let pair =
            Ed25519KeyPair::from_seed_and_public_key(seed, public).map_err(|_| Error::Key("its two halves do not match".to_owned()))?;
        Ok(SigningKey { pair, id: id.try_into().map_err(|_| wrong())? })
    }

    /// Returns the id of the key.
    #[must_use]
    pub fn id(&self) -> String {
        shown(&self.id)
    }

    /// Returns the public key, for `trust:`.
    #[must_use]
    pub fn public(&self) -> String {
        BASE64.encode([ED25519, &self.id[..], self.pair.public_key().as_ref()].concat())
    }

    /// Signs a component, and the comment with it. Returns the text of a `.minisig` file.
    #[must_use]
    pub fn sign(&self, component: &[u8], comment: &str) -> String {
        let comment: String = comment.chars().filter(|character| !character.is_control()).collect();
        let signature = self.pair.sign(blake2b_simd::blake2b(component).as_bytes());
        let of_comment = self.pair.sign(&[signature.as_ref(), comment.as_bytes()].concat());
        format!(
            "untrusted comment: infrahub-sync adapter\n{}\ntrusted comment: {comment}\n{}\n",
            BASE64.encode([ED25519_OF_HASH, &self.id[..], signature.as_ref()].concat()),
            BASE64.encode(of_comment)
        )
    }
}

/// Returns the id of the key that a signature names; none if it is not a signature.
#[must_use]
pub fn signer(signature: &str) -> Option<String> {
    Signature::decode(signature).ok()?;
    let bytes = BASE64.decode(signature.lines().nth(1)?.trim()).ok()?;
    bytes.get(2..2 + ID_BYTES).map(shown)
}

/// Checks that one of these keys has signed a component, and returns the id of that key.
///
/// # Errors
/// When there is no signature, one of another key, or one of other bytes.
pub fn verify(component: &[u8], signature: Option<&str>, keys: &[String], origin: &str) -> Result<String> {
    let origin = origin.to_owned();
    let known: Vec<(String, PublicKey)> = keys.iter().filter_map(|key| Some((id_of(key)?, PublicKey::from_base64(key).ok()?))).collect();
    let accepted = || known.iter().map(|(id, _)| id.clone()).collect();
    let read = signature.and_then(|signature| Some((signer(signature)?, Signature::decode(signature).ok()?)));
    let Some((key, signature)) = read else { return Err(Error::Unsigned { origin, accepted: accepted() }) };
    // Ids are not unique: anyone can make a key with the id of another one.
    let mut of_that_id = known.iter().filter(|(id, _)| *id == key).peekable();
    if of_that_id.peek().is_none() {
        return Err(Error::Foreign { origin, key, accepted: accepted() });
    }
    let is_signed = |public: &PublicKey| public.verify(component, &signature, false).is_ok();
    if of_that_id.any(|(_, public)| is_signed(public)) { Ok(key) } else { Err(Error::Forged { origin, key }) }
}

/// Returns the id of a public key.
fn id_of(key: &str) -> Option<String> {
    BASE64.decode(key).ok()?.get(2..2 + ID_BYTES).map(shown)
}

/// Returns an id as minisign shows it: its bytes are those of a number, the lowest first.
fn shown(id: &[u8]) -> String {
    id.iter().rev().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_key_and_of_these_bytes() {
        let [ours, theirs] = [(); 2].map(|()| new_key().unwrap());
        let key = SigningKey::read(&ours.secret).unwrap();
        assert_eq!((key.id(), key.public()), (ours.id.clone(), ours.line.clone()));
        let signature = key.sign(b"component", "infrahub-sync adapter board 1.2.0");
        assert_eq!(signer(&signature), Some(ours.id.clone()));
        let check = |bytes: &[u8], signature: Option<&str>, keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            verify(bytes, signature, &keys, "o").map_err(|error| error.to_string())
        };
        assert_eq!(check(b"component", Some(&signature), &[&theirs.line, &ours.line]), Ok(ours.id.clone()));
        assert_eq!(check(b"component", None, &[&ours.line]), Err("`o` is not signed".to_owned()));
        assert_eq!(check(b"component", Some("?"), &[&ours.line]), Err("`o` is not signed".to_owned()));
        let foreign = check(b"component", Some(&signature), &[&theirs.line]).unwrap_err();
        assert_eq!(foreign, format!("`o` is signed by the key {}, which `trust:` does not name for it", ours.id));
        let forged = format!("the signature of `o` by the key {} is invalid: the component or its signature was changed", ours.id);
        assert_eq!(check(b"Component", Some(&signature), &[&ours.line]), Err(forged.clone()));
        // The comment is signed as well.
        assert_eq!(check(b"component", Some(&signature.replace("1.2.0", "1.3.0")), &[&ours.line]), Err(forged));
    }

    #[test]
    fn a_key_of_the_same_id_is_not_the_same_key() {
        let [ours, theirs] = [(); 2].map(|()| new_key().unwrap());
        let signature = SigningKey::read(&ours.secret).unwrap().sign(b"component", "c");
        let mut bytes = BASE64.decode(&theirs.line).unwrap();
        bytes[2..10].copy_from_slice(&BASE64.decode(&ours.line).unwrap()[2..10]);
        let look_alike = BASE64.encode(bytes);
        assert!(matches!(verify(b"component", Some(&signature), std::slice::from_ref(&look_alike), "o"), Err(Error::Forged { .. })));
        assert!(verify(b"component", Some(&signature), &[look_alike, ours.line], "o").is_ok());
    }

    #[test]
    fn a_key_file_is_checked() {
        let new = new_key().unwrap();
        let read = |text: &str| SigningKey::read(text).map(|key| key.id()).map_err(|error| error.to_string());
        assert_eq!(read(&new.secret), Ok(new.id.clone()));
        let bytes = BASE64.decode(new.secret.lines().nth(1).unwrap()).unwrap();
        let changed = |at: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            read(&format!("untrusted comment: x\n{}\n", BASE64.encode(bytes)))
        };
        assert!(changed(2, b'S').unwrap_err().starts_with("it has a password"));
        // Made by minisign 0.11 with `-G -W`, as is its public key.
        let theirs = SigningKey::read("untrusted comment: x\nRWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAoQ5g0jpqC+MpLl274WjtHMfh92nncz8/0Dm4iRCbqcvb5Z/YcNOsmSuezNfOV7i/ieiOjGXVkwVnDw1G59vPe5vjj2UlYLk2AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
        assert_eq!(theirs.public(), "RWShDmDSOmoL4yuezNfOV7i/ieiOjGXVkwVnDw1G59vPe5vjj2UlYLk2");
        assert_eq!(changed(70, !bytes[70]), Err("it is damaged: its checksum is wrong".to_owned()));
        for text in ["", "x", &new.public, &new.secret.replace('\n', " ")] {
            assert_eq!(read(text), Err("it is not a secret key of minisign".to_owned()));
        }
    }
}
