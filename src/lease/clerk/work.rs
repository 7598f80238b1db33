//! What the clerk does: one answer to each request, in the order in which they come.
//!
//! Claims are made whole under a name of their own and then linked to their place, which fails if
//! that is taken: whoever reads `gen-N.json` reads all of it. On NFS the server has stored a name
//! before it answers, so directories are not synced. Round trips are counted: a release is answered
//! by the next claim within thirteen.

use std::fs::File;
use std::io::{self, BufRead, Read as _, Write};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

use super::place::Place;
use super::trouble::Trouble;
use super::{Answer, Beat, HEAD, HEARTBEAT, Request, Shown};
use crate::lease::claim::Head;
use crate::lease::ground::Ground;
use crate::lease::record::{self, Record};

/// The longest request that is read, in bytes. A record is below a kilobyte.
const LONGEST_REQUEST: u64 = 256 << 10;

/// How often what was replaced while it was opened is opened again.
const STALE_RETRIES: u32 = 3;

/// The state of a clerk.
#[derive(Debug)]
pub struct Clerk {
    ground: Ground,
    place: Option<Place>,
    /// The claim that was made and is not the head yet: its first name, and the file, still open.
    claimed: Option<(String, File)>,
    /// Makes names unique within this process.
    count: u32,
    /// Whether what earlier clerks of this host left behind is gone.
    is_tidy: bool,
}

/// Answers every line of `input` with one of `output`, until the input ends.
pub fn attend(ground: Ground, mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut clerk = Clerk::new(ground);
    let mut line = String::new();
    while (&mut input).take(LONGEST_REQUEST).read_line(&mut line)? > 0 {
        writeln!(output, "{}", clerk.answer_line(&line))?;
        output.flush()?;
        line.clear();
    }
    Ok(())
}

impl Clerk {
    /// Knows nothing yet.
    pub const fn new(ground: Ground) -> Self {
        Self { ground, place: None, claimed: None, count: 0, is_tidy: false }
    }

    /// The answer to a request, both as they go over the pipe, without line ends.
    pub fn answer_line(&mut self, line: &str) -> String {
        let answer = match serde_json::from_str(line) {
            Ok(request) => self.answer(&request),
            Err(error) => Trouble::Unreadable(error.to_string()).answer(),
        };
        serde_json::to_string(&answer).expect("an answer has only string keys")
    }

    /// Does what is asked, or says why not.
    pub fn answer(&mut self, request: &Request) -> Answer {
        let mut retries = 0;
        loop {
            match self.work(request) {
                Ok(answer) => return answer,
                Err(trouble) if trouble.is_stale() => {
                    if let Some(place) = &mut self.place {
                        place.forget();
                    }
                    retries += 1;
                    // What may have been done is not done twice.
                    if !request.only_reads() || retries > STALE_RETRIES {
                        return trouble.answer();
                    }
                }
                Err(trouble) => return trouble.answer(),
            }
        }
    }

    fn work(&mut self, request: &Request) -> Result<Answer, Trouble> {
        match request {
            Request::Open { mount_point, fs_id } => {
                self.place = Some(Place::open(self.ground, mount_point, fs_id)?);
                Ok(Answer::Done)
            }
            Request::Look => self.place()?.head().map(Answer::Head),
            Request::ReadClaim(generation) => {
                self.place()?.read(&record::claim_file(*generation)).map(Answer::Claim)
            }
            Request::Sync => self.place()?.sync().map(|()| Answer::Done),
            Request::Show => self.show().map(|shown| Answer::Shown(Box::new(shown))),
            Request::Age(generation) => self.age(&record::claim_file(*generation)).map(Answer::Age),
            Request::Claim(record) => self.claim(record),
            Request::Announce => self.announce(),
            Request::Replace(record) => self.replace(record),
            Request::Beat(beat) => self.beat(beat),
        }
    }

    fn claim(&mut self, record: &Record) -> Result<Answer, Trouble> {
        self.must_follow(record)?;
        let (name, file) = self.write("claim", record)?;
        let place = self.place()?;
        let generation = record.generation;
        let linked = place.folder()?.link(&file, &record::claim_file(generation));
        if matches!(linked, Ok(true)) {
            self.claimed = Some((name, file));
            return Ok(Answer::Claimed);
        }
        // Closed first: NFS keeps what is open under another name.
        drop(file);
        place.discard(&name);
        let doing = format!("creating the claim of generation {generation}");
        linked.map_err(Trouble::while_(doing)).map(|_| Answer::Taken)
    }

    /// A head that says more than was ever claimed was not written by hostkit. An operator may go on
    /// from there.
    fn must_follow(&mut self, record: &Record) -> Result<(), Trouble> {
        let before = record.generation.saturating_sub(1);
        if before == 0 || record.broken.is_some() {
            return Ok(());
        }
        let doing = format!("looking for the claim of generation {before}");
        let has = self.place()?.folder()?.has(&record::claim_file(before));
        if has.map_err(Trouble::while_(doing))? { Ok(()) } else { Err(Trouble::Jump(before)) }
    }

    fn announce(&mut self) -> Result<Answer, Trouble> {
        let (name, file) = self.claimed.take().ok_or(Trouble::NothingClaimed)?;
        let renamed = self.place()?.folder()?.rename(&name, HEAD);
        if renamed.is_err() {
            self.claimed = Some((name, file));
        }
        renamed.map_err(Trouble::while_("making the claim the head"))?;
        Ok(Answer::Done)
    }

    fn replace(&mut self, record: &Record) -> Result<Answer, Trouble> {
        let (name, file) = self.write("head", record)?;
        drop(file);
        let place = self.place()?;
        let renamed = place.folder()?.rename(&name, HEAD);
        if renamed.is_err() {
            place.discard(&name);
        }
        renamed.map_err(Trouble::while_("replacing the head"))?;
        Ok(Answer::Done)
    }

    /// Writes a record to a new file, to the disk of the server, and returns its name. The name was
    /// never used before: a request of an earlier clerk that is still under way must not meet it.
    fn write(&mut self, kind: &str, record: &Record) -> Result<(String, File), Trouble> {
        let name = format!("{}{}", prefix(kind, record.holder.name()), self.unique());
        let place = self.place()?;
        place.must_be_home_of(record)?;
        let file = place.fill(&name, record::text(record).as_bytes())?;
        Ok((name, file))
    }

    /// How old the last change of a file is. Both times are the file server's: of the file, and of
    /// one that is made now.
    fn age(&mut self, name: &str) -> Result<Duration, Trouble> {
        let then = self.place()?.changed(name)?;
        Ok(self.server_time()?.duration_since(then).unwrap_or_default())
    }

    fn server_time(&mut self) -> Result<SystemTime, Trouble> {
        let name = format!(".age-{}", self.unique());
        let place = self.place()?;
        let doing = || Trouble::while_("asking the file server for the time");
        let made = place.folder()?.create(&name, 0o600).map_err(doing())?.metadata();
        place.discard(&name);
        let made = made.map_err(doing())?;
        // Nobody can set it: the server does.
        let nanos = u64::try_from(made.ctime_nsec()).unwrap_or_default();
        let seconds = u64::try_from(made.ctime()).unwrap_or_default();
        Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_nanos(nanos))
    }

    fn beat(&mut self, beat: &Beat) -> Result<Answer, Trouble> {
        let me = beat.holder.clone();
        let text = serde_json::to_string(beat).expect("a heartbeat has only string keys") + "\n";
        self.place()?.overwrite(HEARTBEAT, text.as_bytes())?;
        if !self.is_tidy {
            self.tidy(&me)?;
            self.is_tidy = true;
        }
        // From time to time the directory is looked up again: it could be another one by now.
        self.place()?.forget_folder();
        Ok(Answer::Done)
    }

    /// Removes what earlier clerks of this host made and did not finish. It is never used again:
    /// whoever takes up a claim makes a new one.
    fn tidy(&mut self, me: &str) -> Result<(), Trouble> {
        let ours = ["claim", "head"].map(|kind| prefix(kind, me));
        let claimed = self.claimed.as_ref().map(|(name, _)| name.clone());
        let place = self.place()?;
        for name in place.names()? {
            let left = ours.iter().any(|ours| name.starts_with(ours)) || name.starts_with(".age-");
            if left && claimed.as_ref() != Some(&name) {
                place.discard(&name);
            }
        }
        Ok(())
    }

    fn show(&mut self) -> Result<Shown, Trouble> {
        let place = self.place()?;
        let head = place.head()?;
        let names = place.names()?;
        let highest = names.iter().filter_map(|name| record::generation_of(name)).max();
        let told = match &head {
            Head::Record(record) => record.generation,
            Head::Newer { generation, .. } => generation.unwrap_or_default(),
            _ => 0,
        };
        let beyond = match highest.filter(|highest| *highest > told) {
            Some(highest) => place.read(&record::claim_file(highest))?,
            None => None,
        };
        let beat = place.beat()?;
        // Where nothing can be written, nobody knows what the time is there.
        let now = highest.map(|_| self.server_time()).and_then(Result::ok);
        let place = self.place()?;
        let age = |then: SystemTime| now?.duration_since(then).ok().or(Some(Duration::ZERO));
        let claimed = highest.map(|it| place.changed(&record::claim_file(it))).and_then(Result::ok);
        let beat = beat.and_then(|(beat, then)| Some((beat, age(then)?)));
        let clock = now.and_then(|now| jiff::Timestamp::try_from(now).ok());
        let mark = place.marked()?;
        Ok(Shown { head, beyond, highest, age: claimed.and_then(age), beat, clock, mark })
    }

    fn place(&mut self) -> Result<&mut Place, Trouble> {
        self.place.as_mut().ok_or(Trouble::NotOpen)
    }

    /// What no other name has: not of this process, nor of another with its number, nor of another
    /// host.
    fn unique(&mut self) -> String {
        self.count += 1;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let boot = now.as_nanos();
        format!("{}-{boot:x}-{}", std::process::id(), self.count)
    }
}

/// What the names begin with that a host uses while it writes.
fn prefix(kind: &str, holder: &str) -> String {
    // Of a task's ARN the last part.
    let short = holder.rsplit('/').next().unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let short: String = short.chars().filter(plain).take(64).collect();
    format!(".{kind}-{short}-")
}
