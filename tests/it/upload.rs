//! The upload of a disk, as a process of its own against the rehearsal account: what is sent, what is
//! there afterwards by the word of another program, and what goes wrong on the way.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use hostkit::image::blocks::{BLOCK, Table};
use serde_json::Value;
use tempfile::TempDir;

use crate::account::{Account, words};
use crate::support::{coldsnap, pause, scratch, send};

/// A disk that says of each of its blocks what is in it: 0 is a hole.
struct Disk {
    folder: TempDir,
}

impl Disk {
    /// `blocks` has a number for each block.
    fn new(blocks: &[u8]) -> Self {
        let disk = Self { folder: scratch() };
        let file = File::create_new(disk.path()).unwrap();
        file.set_len((blocks.len() * BLOCK) as u64).unwrap();
        for (index, number) in blocks.iter().enumerate().filter(|(_, number)| **number > 0) {
            disk.write(index, &block(index, *number));
        }
        disk
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("disk.raw")
    }

    fn record(&self) -> PathBuf {
        self.folder.path().join("b.acked")
    }

    fn write(&self, index: usize, bytes: &[u8]) {
        let file = File::options().write(true).open(self.path()).unwrap();
        file.write_all_at(bytes, (index * BLOCK) as u64).unwrap();
    }

    /// Its table in a file of its own.
    fn table(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        let disk = self.path();
        let table = Table::of(camino::Utf8Path::from_path(&disk).unwrap()).unwrap();
        fs::write(&path, table.to_bytes()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn command(&self, account: &Account, more: &[&str]) -> Command {
        let mut command = account.hostkit(self.folder.path(), &["inner", "upload"]);
        command.arg(self.path()).arg("--record").arg(self.record()).args(more);
        command
    }

    fn upload(&self, account: &Account, more: &[&str]) -> Value {
        let output = self.command(account, more).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn fails(&self, account: &Account, more: &[&str]) -> (Option<i32>, String) {
        let Output { status, stderr, .. } = self.command(account, more).output().unwrap();
        (status.code(), String::from_utf8(stderr).unwrap())
    }
}

/// The content of a block.
fn block(index: usize, number: u8) -> Vec<u8> {
    let mut bytes = vec![number; BLOCK];
    bytes[..8].copy_from_slice(&index.to_le_bytes());
    bytes
}

/// How often each block was put and that was acknowledged.
fn puts(account: &Account) -> BTreeMap<u32, usize> {
    let mut puts = BTreeMap::new();
    for request in account.requests() {
        if request["action"] == "PutSnapshotBlock" && request["status"] == 201 {
            let path = request["path"].as_str().unwrap();
            *puts.entry(path.rsplit('/').next().unwrap().parse().unwrap()).or_default() += 1;
        }
    }
    puts
}

/// What another program reads of a snapshot is the disk, and zeros after it.
fn is_the_disk(account: &Account, snapshot: &Value, disk: &Disk) {
    let Some(coldsnap) = coldsnap() else { return };
    let copy = disk.folder.path().join("copy.raw");
    let _ = fs::remove_file(&copy);
    let id = snapshot["snapshot"].as_str().unwrap();
    let download = || {
        let mut command = Command::new(&coldsnap);
        command.envs(account.environment()).args(["download", id]).arg(&copy);
        command.output().unwrap()
    };
    let mut output = download();
    for _ in 0..50 {
        if output.status.success() {
            break;
        }
        // It is completed in a moment.
        pause();
        output = download();
    }
    assert!(output.status.success(), "{}", words(&output));
    let (copy, original) = (File::open(&copy).unwrap(), fs::read(disk.path()).unwrap());
    assert_eq!(copy.metadata().unwrap().len(), 1 << 30);
    let mut theirs = vec![1; original.len().next_multiple_of(BLOCK)];
    copy.read_exact_at(&mut theirs, 0).unwrap();
    let wrong = theirs
        .chunks(BLOCK)
        .zip(original.chunks(BLOCK))
        .position(|(theirs, ours)| theirs[..ours.len()] != *ours);
    assert_eq!(wrong, None, "the first block that differs");
    assert!(theirs[original.len()..].iter().all(|byte| *byte == 0));
}

/// 60 blocks of data with holes between them.
fn usual() -> Vec<u8> {
    (0..80).map(|index| u8::from(index % 4 != 3)).collect()
}

#[test]
fn a_disk_without_a_parent_is_sent_without_its_zeros_and_read_back_as_it_is() {
    let account = Account::open("appears-after = '0s'\n");
    let disk = Disk::new(&usual());
    disk.write(3, &vec![0; BLOCK]);
    let file = File::options().write(true).open(disk.path()).unwrap();
    file.set_len((80 * BLOCK + 1000) as u64).unwrap();
    disk.write(80, b"the last block is not full");
    let sent = disk.upload(&account, &[]);
    assert_eq!(
        (&sent["blocks"], &sent["zeros"], &sent["retries"]),
        (&61.into(), &0.into(), &0.into())
    );
    assert_eq!(puts(&account).len(), 61);
    is_the_disk(&account, &sent, &disk);
    account.validate("ebs:StartSnapshot,ebs:PutSnapshotBlock,ebs:CompleteSnapshot");
}

#[test]
fn with_a_parent_only_what_differs_is_sent_and_zeros_where_it_had_data() {
    for (encrypted, first, last) in [(false, 60, 4), (true, 80, 24)] {
        let account = Account::open("");
        let disk = Disk::new(&usual());
        let key: &[&str] = if encrypted { &["--encrypted"] } else { &[] };
        let parent = disk.upload(&account, key);
        assert_eq!(parent["blocks"], first, "encrypted: {encrypted}");
        is_the_disk(&account, &parent, &disk);
        let before = disk.table("parent.blocks");

        // Changed, filled, emptied; and it has grown by 20 blocks of which one has data.
        disk.write(8, &block(8, 2));
        disk.write(11, &block(11, 2));
        disk.write(13, &vec![0; BLOCK]);
        let file = File::options().write(true).open(disk.path()).unwrap();
        file.set_len((100 * BLOCK) as u64).unwrap();
        disk.write(90, &block(90, 2));
        fs::remove_file(disk.record()).unwrap();
        let parent = parent["snapshot"].as_str().unwrap();
        let child = disk.upload(
            &account,
            &["--token", "second", "--parent", parent, "--parent-table", &before],
        );
        // Past the end of an encrypted parent nobody knows what there is: zeros, then.
        assert_eq!(child["blocks"], if encrypted { 23 } else { last }, "encrypted: {encrypted}");
        assert_eq!(child["zeros"], if encrypted { 20 } else { 1 });
        is_the_disk(&account, &child, &disk);
    }
}

#[test]
fn what_goes_wrong_in_passing_is_sent_again() {
    let mut faults = "appears-after = '50s'\nputs-per-second = 60\n".to_owned();
    let entries = [
        "next = 2\nblock = 5\ndoes = 'closed-after'\nbytes = 200000",
        "next = 2\nblock = 6\ndoes = 'closed'",
        "next = 1\nblock = 9\ndoes = 'silent'",
        "next = 1\nblock = 10\ndoes = 'answer-lost'",
        "next = 1\nblock = 20\ndoes = 'throttled'",
        "chance = 0.1\nseed = 3\ndoes = 'internal-error'",
        "chance = 0.1\nseed = 4\ndoes = 'unavailable'",
    ];
    for entry in entries {
        faults += "[[fault]]\nservice = 'ebs'\naction = 'PutSnapshotBlock'\n";
        faults += &format!("{entry}\n");
    }
    // It is completed, and the answer does not arrive.
    faults += "[[fault]]\naction = 'CompleteSnapshot'\nnext = 1\ndoes = 'answer-lost'\n";
    let account = Account::open(&faults);
    let disk = Disk::new(&usual());
    let sent = disk.upload(&account, &["--rate", "0", "--deadline", "2"]);
    assert_eq!(sent["blocks"], 60);
    assert!(sent["retries"].as_u64() > Some(7), "{sent}");
    assert!(sent["throttles"].as_u64() > Some(1), "{sent}");
    let refused: Vec<String> = account
        .requests()
        .iter()
        .filter_map(|request| Some(request["error"].as_str()?.to_owned()))
        .collect();
    assert!(refused.contains(&"ResourceNotFoundException".to_owned()), "{refused:?}");
    assert_eq!(puts(&account).len(), 60);
    is_the_disk(&account, &sent, &disk);
}

#[test]
fn what_is_final_ends_it_at_once_and_says_whose_move_it_is() {
    let put = "[[fault]]\nservice = 'ebs'\naction = 'PutSnapshotBlock'\ndoes = ";
    let disk = Disk::new(&usual());
    let refused = Account::open(&format!("{put}'denied'\n"));
    let (code, said) = disk.fails(&refused, &[]);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("hint: allow `ebs:PutSnapshotBlock`"), "{said}");

    let silent = Account::open(&format!("{put}'unavailable'\n"));
    fs::remove_file(disk.record()).unwrap();
    let (code, said) = disk.fails(&silent, &["--patience", "1"]);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("no block was acknowledged for too long"), "{said}");

    let account = Account::open("");
    fs::remove_file(disk.record()).unwrap();
    let table = disk.table("disk.blocks");
    disk.write(40, &block(40, 7));
    let (code, said) = disk.fails(&account, &["--table", &table]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("the disk changed while it was sent: block 40"), "{said}");

    // What was put of the first disk would stay.
    let (code, said) = disk.fails(&account, &[]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("is the record of another upload"), "{said}");
}

#[test]
fn one_that_was_killed_sends_only_the_rest() {
    let slow = "[[fault]]\nservice = 'ebs'\naction = 'PutSnapshotBlock'\ndoes = 'slow'\n\
                after = '150ms'\n";
    let account = Account::open(slow);
    let disk = Disk::new(&[1; 200]);
    for signal in ["KILL", "INT", "KILL"] {
        let known = acknowledged(&disk);
        let mut child = disk
            .command(&account, &["--under-way", "8"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let late = Instant::now() + Duration::from_mins(1);
        while acknowledged(&disk) < known + 20 {
            assert!(Instant::now() < late && child.try_wait().unwrap().is_none(), "it is sending");
            pause();
        }
        send(signal, child.id());
        let status = child.wait().unwrap();
        assert_eq!(status.code(), (signal == "INT").then_some(130));
    }
    let before = acknowledged(&disk);
    assert!((60..200).contains(&before), "{before}");
    let put_before: usize = puts(&account).values().sum();
    let sent = disk.upload(&account, &["--under-way", "8"]);
    assert_eq!(sent["before"].as_u64(), Some(before as u64), "{sent}");
    assert_eq!(sent["bytes"].as_u64(), Some(((200 - before) * BLOCK) as u64));
    let puts = puts(&account);
    assert_eq!(puts.len(), 200);
    // What was on its way when it was killed went again; nothing else did.
    assert_eq!(puts.values().sum::<usize>() - put_before, 200 - before);
    is_the_disk(&account, &sent, &disk);
}

/// How many blocks a record has.
fn acknowledged(disk: &Disk) -> usize {
    fs::read(disk.record()).map_or(0, |file| file.len().saturating_sub(48) / 4)
}
