//! What other tools read, so that nobody types the id of an image: the manifest of Packer's
//! post-processor of that name, and variables for Terraform.
//!
//! Both files are written as a whole, under a lock on their folder, and keep what others wrote.

use std::collections::BTreeMap;
use std::fs::File;

use anyhow::Context as _;
use camino::Utf8Path;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::distribute::Subject;
use crate::digest::{sha256, uuid};
use crate::error::Fault;
use crate::sys::atomic;

/// The name of Packer's file.
pub const PACKER: &str = "manifest.json";

/// Who made a build, in Packer's words.
const BUILDER: &str = "hostkit";

/// Packer's manifest. Unknown keys are kept.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    builds: Vec<Build>,
    last_run_uuid: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A build in Packer's manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Build {
    name: String,
    #[serde(default)]
    builder_type: String,
    #[serde(default, rename = "build_time")]
    time: i64,
    #[serde(default)]
    files: Option<Value>,
    artifact_id: String,
    #[serde(default)]
    packer_run_uuid: String,
    #[serde(default)]
    custom_data: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Writes both files. `images` are the ids by region, `home` among them; what an earlier run wrote of
/// other regions of the same image stays.
///
/// # Errors
/// The folder cannot be written to, or has a `manifest.json` that is none of Packer's.
pub fn write(
    folder: &Utf8Path,
    subject: &Subject,
    home: &str,
    images: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let fault = || Fault::environment(format!("{folder} cannot be written to"));
    std::fs::create_dir_all(folder).with_context(fault)?;
    let lock = File::open(folder).with_context(fault)?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive)
        .map_err(|(_, errno)| errno)
        .with_context(fault)?;
    let [_, variables] = names(subject);
    let there = read(&folder.join(PACKER))?;
    let packer = packer(there.as_deref(), subject, images, jiff::Timestamp::now())?;
    let there = read(&folder.join(&variables))?;
    let terraform = terraform(there.as_deref(), subject, home, images);
    for (name, text) in [(PACKER, packer), (variables.as_str(), terraform)] {
        atomic::write(&folder.join(name), text.as_bytes(), 0o644).with_context(fault)?;
    }
    Ok(())
}

/// The names of both files.
pub fn names(subject: &Subject) -> [String; 2] {
    [PACKER.to_owned(), format!("{}.auto.tfvars.json", subject.recipe)]
}

fn read(path: &Utf8Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(error).with_context(|| Fault::environment(format!("{path} cannot be read")))
        }
    }
}

/// The manifest with one more build at its end, unless the last one of the recipe is this.
fn packer(
    there: Option<&str>,
    subject: &Subject,
    images: &BTreeMap<String, String>,
    now: jiff::Timestamp,
) -> anyhow::Result<String> {
    let mut manifest = match there {
        None => Manifest::default(),
        Some(text) => serde_json::from_str(text).with_context(|| {
            Fault::environment(format!("{PACKER} in the output folder is not one of Packer's"))
                .hint("move it away, or give another folder with --output")
        })?,
    };
    let last = manifest.builds.iter().rev().find(|build| build.name == subject.recipe);
    let is_same = |build: &&Build| {
        let digest = build.custom_data.as_ref().and_then(|data| data.get("digest"));
        build.builder_type == BUILDER && digest == Some(&subject.digest)
    };
    let mut all = last.filter(is_same).map_or_else(BTreeMap::new, |build| ids(&build.artifact_id));
    all.extend(images.clone());
    let artifact_id: Vec<_> = all.iter().map(|(region, id)| format!("{region}:{id}")).collect();
    let artifact_id = artifact_id.join(",");
    if !last.is_some_and(|build| is_same(&build) && build.artifact_id == artifact_id) {
        let run = uuid(&sha256(format!("{now:?} {artifact_id}")), "run");
        let Subject { recipe, version, arch, digest, image, .. } = subject;
        let data =
            [("version", version), ("arch", arch), ("digest", digest), ("name", &image.name)];
        manifest.last_run_uuid.clone_from(&run);
        manifest.builds.push(Build {
            name: recipe.clone(),
            builder_type: BUILDER.to_owned(),
            time: now.as_second(),
            files: None,
            artifact_id,
            packer_run_uuid: run,
            custom_data: Some(data.map(|(key, value)| (key.to_owned(), value.clone())).into()),
            rest: Map::new(),
        });
    }
    Ok(serde_json::to_string_pretty(&manifest).context("writing Packer's manifest")? + "\n")
}

/// The images of an artifact, by region.
fn ids(artifact: &str) -> BTreeMap<String, String> {
    let pairs = artifact.split(',').filter_map(|part| part.split_once(':'));
    pairs.map(|(region, id)| (region.to_owned(), id.to_owned())).collect()
}

/// `{recipe}_ami_id` and, by region, `{recipe}_ami_ids`.
fn terraform(
    there: Option<&str>,
    subject: &Subject,
    home: &str,
    images: &BTreeMap<String, String>,
) -> String {
    let name = subject.recipe.replace('-', "_");
    let (one, many) = (format!("{name}_ami_id"), format!("{name}_ami_ids"));
    let there: Option<Map<String, Value>> = there.and_then(|text| serde_json::from_str(text).ok());
    let mut variables = there.unwrap_or_default();
    let id = images.get(home).unwrap_or(&subject.image.id).clone();
    // Of another image no region's id may stay: a region that was not reached must be missed.
    let is_same = variables.get(&one).and_then(Value::as_str) == Some(&id);
    let mut all = match variables.remove(&many) {
        Some(Value::Object(all)) if is_same => all,
        _ => Map::new(),
    };
    all.extend(images.iter().map(|(region, id)| (region.clone(), Value::from(id.clone()))));
    variables.insert(one, id.into());
    variables.insert(many, all.into());
    format!("{:#}\n", Value::from(variables))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::image::{Image, State};

    fn subject(digest: &str) -> Subject {
        Subject {
            image: Image {
                id: "ami-1".into(),
                name: "ci-box-amd64-1.0-01234567".into(),
                state: State::Available,
                reason: None,
                architecture: "x86_64".into(),
                description: String::new(),
                created: None,
                deprecated: None,
                protected: false,
                tpm: false,
                tokens: true,
                owner: "123456789012".to_owned(),
                boot_mode: None,
                ena: true,
                root_device: "/dev/xvda".to_owned(),
                tags: BTreeMap::new(),
                disks: Vec::new(),
            },
            recipe: "ci-box".into(),
            version: "1.0".into(),
            arch: "amd64".into(),
            digest: digest.into(),
            fresh: false,
        }
    }

    fn images(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(region, id)| ((*region).to_owned(), (*id).to_owned())).collect()
    }

    #[test]
    fn packers_manifest_grows_by_what_is_new_and_keeps_the_rest() {
        let old = r#"{"builds": [{"name": "amazon-ebs.x", "builder_type": "amazon-ebs",
            "build_time": 1, "files": null, "artifact_id": "us-east-1:ami-0",
            "packer_run_uuid": "u", "custom_data": null, "extra": 7}],
            "last_run_uuid": "u", "more": true}"#;
        let at = jiff::Timestamp::from_second(1_700_000_000).unwrap();
        let two = images(&[("us-east-1", "ami-2"), ("eu-west-1", "ami-1")]);
        let first = packer(Some(old), &subject("d1"), &two, at).unwrap();
        let value: Value = serde_json::from_str(&first).unwrap();
        assert_eq!(value["builds"][0]["extra"], 7);
        assert_eq!(value["more"], true);
        let build = &value["builds"][1];
        assert_eq!(build["artifact_id"], "eu-west-1:ami-1,us-east-1:ami-2");
        assert_eq!(build["build_time"], 1_700_000_000);
        assert_eq!(build["custom_data"]["digest"], "d1");
        assert_eq!(build["packer_run_uuid"], value["last_run_uuid"]);
        let again = packer(Some(&first), &subject("d1"), &two, at).unwrap();
        assert_eq!(again, first, "the same image is not written twice");
        let one = images(&[("eu-west-1", "ami-1")]);
        assert_eq!(packer(Some(&first), &subject("d1"), &one, at).unwrap(), first);
        let more = packer(Some(&first), &subject("d2"), &one, at).unwrap();
        let value: Value = serde_json::from_str(&more).unwrap();
        assert_eq!(value["builds"][2]["artifact_id"], "eu-west-1:ami-1");
        let ours = Some(r#"{"version": 2, "recipe": "manifest"}"#);
        let error = packer(ours, &subject("d1"), &one, at).unwrap_err().to_string();
        assert_eq!(error, "manifest.json in the output folder is not one of Packer's");
    }

    #[test]
    fn terraform_reads_the_id_and_the_ids_by_region() {
        let two = images(&[("eu-west-1", "ami-1"), ("us-east-1", "ami-2")]);
        let first = terraform(None, &subject("d1"), "eu-west-1", &two);
        insta::assert_snapshot!(first, @r#"
        {
          "ci_box_ami_id": "ami-1",
          "ci_box_ami_ids": {
            "eu-west-1": "ami-1",
            "us-east-1": "ami-2"
          }
        }
        "#);
        // The rest of the same image is published later.
        let one = images(&[("eu-west-1", "ami-1")]);
        assert_eq!(terraform(Some(&first), &subject("d1"), "eu-west-1", &one), first);
        let other = images(&[("eu-west-1", "ami-3")]);
        let next = terraform(Some(&first), &subject("d2"), "eu-west-1", &other);
        assert!(next.contains("ami-3") && !next.contains("ami-2"), "{next}");
    }
}
