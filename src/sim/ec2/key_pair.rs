//! Key pairs: `ImportKeyPair`, `DescribeKeyPairs`, `DeleteKeyPair`.
//!
//! `CreateKeyPair` is not modelled: the private half would be made here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::Call;
use super::filter::Filters;
use super::id::Kind;
use super::query::Query;
use super::refusal::{Answer, Refusal};
use super::shape::{self, set, some};
use super::tags::Specified;
use crate::sim::key_pair::KeyPair;
use crate::sim::xml::leaf;

/// The characters of a name.
const NAME_LIMIT: usize = 255;

/// `ImportKeyPair`.
pub fn import(call: &mut Call<'_>, mut query: Query) -> Answer {
    let name = query.required("KeyName")?;
    let material = query.required("PublicKeyMaterial")?;
    let tags = Specified::of(&mut query, &[Kind::KeyPair])?.for_kind(Kind::KeyPair);
    let dry_run = query.finish()?;
    if name.chars().count() > NAME_LIMIT || !name.is_ascii() {
        return Err(Refusal::value("Value for parameter KeyName is invalid"));
    }
    let (kind, public_key, fingerprint) = parse(&material).ok_or_else(|| {
        Refusal::new("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
    })?;
    if call.here().key_pairs.values().any(|pair| pair.name == name) {
        let message = format!("The keypair '{name}' already exists.");
        return Err(Refusal::new("InvalidKeyPair.Duplicate", message));
    }
    dry_run.end()?;
    let id = Kind::KeyPair.fresh();
    let created = call.account.world();
    let answer = leaf("keyName", &name)
        + &leaf("keyFingerprint", &fingerprint)
        + &leaf("keyPairId", &id)
        + &shape::tags(&tags);
    let pair = KeyPair { id: id.clone(), name, kind, public_key, fingerprint, created, tags };
    call.here().key_pairs.insert(id, pair);
    Ok(answer)
}

/// The kind, the line and the fingerprint of a public key in OpenSSH's form.
fn parse(material: &str) -> Option<(String, String, String)> {
    let line = String::from_utf8(STANDARD.decode(material).ok()?).ok()?;
    let line = line.trim();
    let mut words = line.split_whitespace();
    let kind = match words.next()? {
        "ssh-ed25519" => "ed25519",
        "ssh-rsa" => "rsa",
        _ => return None,
    };
    let blob = STANDARD.decode(words.next()?).ok()?;
    // AWS has MD5 for RSA; nobody compares that.
    let fingerprint = STANDARD.encode(Sha256::digest(&blob));
    Some((kind.to_owned(), line.to_owned(), fingerprint))
}

/// `DeleteKeyPair`: also of one that is not there.
pub fn delete(call: &mut Call<'_>, mut query: Query) -> Answer {
    let (name, id) = (query.text("KeyName"), query.text("KeyPairId"));
    let dry_run = query.finish()?;
    if name.is_none() && id.is_none() {
        return Err(Refusal::missing("KeyName"));
    }
    if let Some(id) = &id {
        Kind::KeyPair.check(id)?;
    }
    dry_run.end()?;
    let pairs = &mut call.here().key_pairs;
    let found = pairs
        .values()
        .find(|pair| Some(&pair.id) == id.as_ref() || Some(&pair.name) == name.as_ref());
    let found = found.map(|pair| pair.id.clone());
    if let Some(id) = &found {
        pairs.remove(id);
    }
    Ok(shape::done() + &some("keyPairId", found.as_deref()))
}

/// What an answer may be filtered by.
const FILTERS: &[&str] = &["fingerprint", "key-name", "key-pair-id", "tag-key"];

/// `DescribeKeyPairs`.
pub fn describe(call: &mut Call<'_>, mut query: Query) -> Answer {
    let (names, ids) = (query.list("KeyName"), query.list("KeyPairId"));
    let with_key = query.flag("IncludePublicKey")?.unwrap_or_default();
    let filters = Filters::of(&mut query, FILTERS)?;
    let dry_run = query.finish()?;
    let pairs = &call.here().key_pairs;
    Kind::KeyPair.check_all(&ids, |id| pairs.contains_key(id))?;
    if let Some(name) = names.iter().find(|name| pairs.values().all(|pair| pair.name != **name)) {
        return Err(no_such_name(name));
    }
    dry_run.end()?;
    let wanted = pairs.values().filter(|pair| {
        let all = ids.is_empty() && names.is_empty();
        (all || ids.contains(&pair.id) || names.contains(&pair.name))
            && filters.pass(&pair.tags, |name| {
                vec![match name {
                    "fingerprint" => pair.fingerprint.clone(),
                    "key-name" => pair.name.clone(),
                    _ => pair.id.clone(),
                }]
            })
    });
    Ok(set("keySet", wanted.map(|pair| item(pair, with_key))))
}

fn item(pair: &KeyPair, with_key: bool) -> String {
    leaf("keyPairId", &pair.id)
        + &leaf("keyType", &pair.kind)
        + &shape::tags(&pair.tags)
        + &some("publicKey", with_key.then_some(pair.public_key.as_str()))
        + &leaf("createTime", &shape::time(pair.created))
        + &leaf("keyName", &pair.name)
        + &leaf("keyFingerprint", &pair.fingerprint)
}

/// There is no key pair of that name.
pub fn no_such_name(name: &str) -> Refusal {
    Refusal::new("InvalidKeyPair.NotFound", format!("The key pair '{name}' does not exist"))
}
