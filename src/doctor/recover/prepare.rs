//! Looks at everything, and decides what a recovery would do. Changes nothing.

use super::inside::{Chosen, Survey};
use super::plan::{Course, Prospect};
use super::{Setting, Wish, ask, group, host};
use crate::error::Fault;
use crate::lease::recovery::{Found, Journal, Stage, TWO_WAYS, VERSION, Way};

/// What would be done for `wish`.
///
/// # Errors
/// It must not be done, or there is nothing to do; what there is to choose from is told then.
pub async fn prepare(setting: &Setting<'_>, wish: &Wish) -> anyhow::Result<Prospect> {
    let survey = ask::survey(setting, wish.from.as_deref()).await?;
    let (course, mut journal) = course(setting, &survey, wish)?;
    if let Some(chosen) = &survey.chosen {
        whole(chosen, wish, &setting.order.me.fs_id)?;
    }
    let idle = host::idle(setting).await?;
    let stops_jenkins = idle == host::Idle::Jenkins && wish.stop_jenkins;
    // From there on Jenkins may run.
    if journal.bars() && !stops_jenkins {
        host::busy(idle)?;
    }
    let held = setting.memory().mine();
    journal.host = setting.order.me.name().to_owned();
    journal.generation = journal.generation.max(held.unwrap_or(0));
    if course != Course::CarryOn {
        let asked = survey.chosen.as_ref().and_then(|chosen| chosen.generation);
        journal.generation = journal.generation.max(asked.unwrap_or(0));
        setting.by.clone_into(&mut journal.by);
    }
    let is_fresh = course == Course::Begin || journal.group.is_none() && journal.bars();
    if wish.leave_group {
        journal.group = None;
    } else if is_fresh {
        journal.group = group::look(setting).await?;
    }
    let image = setting.jenkins().map(|version| version.to_string());
    let leaves_group = wish.leave_group;
    let chosen = survey.chosen;
    Ok(Prospect { course, journal, chosen, held, stops_jenkins, leaves_group, image })
}

fn course(setting: &Setting<'_>, survey: &Survey, wish: &Wish) -> Result<(Course, Journal), Fault> {
    let fs_id = &setting.order.me.fs_id;
    match &survey.open {
        Found::Garbage(why) => Err(Fault::step(format!(
            "a recovery is under way, and .hostkit/recover.json cannot be read: {why}"
        ))
        .hint(
            "nothing is guessed: see what is in .hostkit/pre-restore-* and in home, then move \
             .hostkit/recover.json away by hand",
        )),
        Found::Journal(journal) if journal.file_system != *fs_id => Err(Fault::step(format!(
            ".hostkit/recover.json is about {}: it came here with a copy",
            journal.file_system
        ))
        .hint("look whether the copy is whole; then move .hostkit/recover.json away by hand")),
        Found::Journal(journal) if wish.from.is_some() => {
            Err(Fault::step(journal.told()).hint(TWO_WAYS))
        }
        Found::Journal(journal) if wish.undo && journal.way == Way::Forward => {
            let undo = survey.undo.as_deref().unwrap_or(journal);
            Ok((Course::Undo, turned(undo.clone())))
        }
        Found::Journal(journal) => Ok((Course::CarryOn, (**journal).clone())),
        Found::Nothing if wish.undo => match (&survey.undo, &survey.final_) {
            (Some(last), _) => {
                let mut undo = turned((**last).clone());
                undo.group = None;
                undo.ended = None;
                Ok((Course::Undo, undo))
            }
            (None, Some(why)) => Err(Fault::step(format!("there is nothing to take back: {why}"))
                .hint("hostkit efs recover lists what there is to bring back")),
            (None, None) => Err(Fault::usage(
                "no home was ever brought back here: there is \
                 nothing to take back",
            )
            .hint("hostkit efs recover lists what there is to bring back")),
        },
        Found::Nothing => match &survey.chosen {
            Some(chosen) => Ok((Course::Begin, begin(setting, chosen))),
            None => Err(nothing(survey, fs_id)),
        },
    }
}

fn turned(journal: Journal) -> Journal {
    Journal { way: Way::Back, stage: Stage::Prepare, ..journal }
}

fn begin(setting: &Setting<'_>, chosen: &Chosen) -> Journal {
    Journal {
        version: VERSION,
        id: chosen.id.clone(),
        file_system: setting.order.me.fs_id.clone(),
        begun: jiff::Timestamp::now(),
        by: setting.by.to_owned(),
        host: setting.order.me.name().to_owned(),
        way: Way::Forward,
        stage: Stage::Prepare,
        from: chosen.from.clone(),
        aside: chosen.aside.clone(),
        work: chosen.work.clone(),
        generation: 0,
        group: None,
        ended: None,
    }
}

/// No recovery is under way, and none is asked for.
fn nothing(survey: &Survey, fs_id: &str) -> Fault {
    let mut lines: Vec<_> = survey
        .choices
        .iter()
        .map(|it| format!("  hostkit efs recover --from {}  # {}", it.name, it.kind.told()))
        .collect();
    if let Some(last) = &survey.undo {
        lines.push(format!("  hostkit efs recover --undo  # takes back the recovery {}", last.id));
    }
    let hint = if lines.is_empty() {
        format!(
            "there is nothing on the file system to bring back; what AWS Backup has, and how it gets \
             here:\n  hostkit efs backup list --file-system {fs_id}\n  hostkit efs backup restore \
             --file-system {fs_id} newest"
        )
    } else {
        format!("there is:\n{}", lines.join("\n"))
    };
    Fault::usage("no recovery is under way, and --from does not say what to bring back").hint(hint)
}

/// Refuses what Jenkins cannot live on, but for what a person names.
fn whole(chosen: &Chosen, wish: &Wish, fs_id: &str) -> Result<(), Fault> {
    let accepted = |path: &str| wish.accept_missing.iter().any(|it| it == path);
    if let Some(odd) = wish
        .accept_missing
        .iter()
        .find(|it| !chosen.damaged.iter().any(|damaged| damaged.path == **it))
    {
        return Err(Fault::usage(format!(
            "`{odd}` is neither missing nor broken in {}",
            chosen.from
        ))
        .hint("--accept-missing takes the paths that a refusal names"));
    }
    let missing: Vec<_> =
        chosen.damaged.iter().filter(|it| it.fatal && !accepted(&it.path)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = missing.iter().map(|it| it.told.as_str()).collect();
    let flags: Vec<_> = missing.iter().map(|it| format!("--accept-missing {}", it.path)).collect();
    Err(Fault::step(format!(
        "the home in `{}` is not whole: {}",
        chosen.from,
        lines.join("; ")
    ))
    .hint(format!(
        "take another recovery point:\n  hostkit efs backup list --file-system {fs_id}\nJenkins \
         cannot do without these. If you know better, the same command with:\n  {}",
        flags.join(" ")
    )))
}
