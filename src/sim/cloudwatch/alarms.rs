//! `DescribeAlarms`, `PutMetricAlarm`, `PutCompositeAlarm`, `SetAlarmState`, `DeleteAlarms`.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::cbor::Value;
use super::{error, invalid, json, map, missing};
use crate::sim::account::ACCOUNT_ID;
use crate::sim::alarm::{Alarm, State};
use crate::sim::http::Reply;

/// So many are in one answer at most, and so many if it is not said.
const MOST: i64 = 100;
const USUAL: i64 = 50;
/// So many can be asked for or deleted by name.
const NAMES: usize = 100;

/// What is kept of a request for an alarm of metrics, and told again.
const METRIC: &[&str] = &[
    "ActionsEnabled",
    "AlarmActions",
    "AlarmDescription",
    "ComparisonOperator",
    "DatapointsToAlarm",
    "Dimensions",
    "EvaluateLowSampleCountPercentile",
    "EvaluationPeriods",
    "ExtendedStatistic",
    "InsufficientDataActions",
    "MetricName",
    "Metrics",
    "Namespace",
    "OKActions",
    "Period",
    "Statistic",
    "Threshold",
    "ThresholdMetricId",
    "TreatMissingData",
    "Unit",
];

/// The same of one of other alarms.
const COMPOSITE: &[&str] = &[
    "ActionsEnabled",
    "ActionsSuppressor",
    "ActionsSuppressorExtensionPeriod",
    "ActionsSuppressorWaitPeriod",
    "AlarmActions",
    "AlarmDescription",
    "AlarmRule",
    "InsufficientDataActions",
    "OKActions",
];

/// The alarms of a region, by name.
pub(super) type Alarms = BTreeMap<String, Alarm>;

/// `PutMetricAlarm`: a new one knows nothing, one that was there stands as before.
pub(super) fn put_metric(
    alarms: &mut Alarms,
    asked: &Value,
    now: Timestamp,
) -> Result<Value, Reply> {
    let name = text(asked, "AlarmName")?;
    let has = |name: &str| asked.get(name).is_some();
    if has("MetricName") == has("Metrics") {
        let message = "Exactly one of MetricName and Metrics must be specified";
        return Err(error(400, "ValidationError", message));
    }
    for needed in ["ComparisonOperator", "EvaluationPeriods"] {
        asked.get(needed).ok_or_else(|| missing(needed))?;
    }
    put(alarms, name, asked, (false, METRIC), now)
}

/// `PutCompositeAlarm`: its rule is kept, and never read.
pub(super) fn put_composite(
    alarms: &mut Alarms,
    asked: &Value,
    now: Timestamp,
) -> Result<Value, Reply> {
    let name = text(asked, "AlarmName")?;
    text(asked, "AlarmRule")?;
    put(alarms, name, asked, (true, COMPOSITE), now)
}

fn put(
    alarms: &mut Alarms,
    name: &str,
    asked: &Value,
    (composite, members): (bool, &[&str]),
    now: Timestamp,
) -> Result<Value, Reply> {
    let alarm = alarms.entry(name.to_owned()).or_insert_with(|| Alarm::new(composite, now));
    if alarm.composite != composite {
        return Err(error(
            400,
            "ValidationError",
            "There is an alarm of another kind of that name",
        ));
    }
    let said = members.iter().filter_map(|member| {
        let value = asked.get(member)?;
        // JSON has no other word for 1.0.
        let value = match (value, *member) {
            #[expect(clippy::cast_precision_loss, reason = "a threshold that somebody typed")]
            (Value::Whole(whole), "Threshold") => json::encoded(&Value::Number(*whole as f64)),
            _ => json::encoded(value),
        };
        Some(((*member).to_owned(), value))
    });
    alarm.said = said.collect();
    alarm.said.entry("ActionsEnabled".to_owned()).or_insert(true.into());
    alarm.configured = now;
    Ok(map([]))
}

/// `SetAlarmState`: it stays so until it is set again.
pub(super) fn set(alarms: &mut Alarms, asked: &Value, now: Timestamp) -> Result<Value, Reply> {
    let (name, word) = (text(asked, "AlarmName")?, text(asked, "StateValue")?);
    let reason = text(asked, "StateReason")?;
    let state = state(word)?;
    let alarm = alarms.get_mut(name).ok_or_else(|| error(404, "ResourceNotFound", ""))?;
    alarm.set(state, reason, now);
    alarm.reason_data = asked.get("StateReasonData").and_then(Value::text).map(str::to_owned);
    Ok(map([]))
}

/// `DeleteAlarms`: those that are there.
pub(super) fn delete(alarms: &mut Alarms, asked: &Value) -> Result<Value, Reply> {
    for name in names(asked)?.ok_or_else(|| missing("AlarmNames"))? {
        alarms.remove(&name);
    }
    Ok(map([]))
}

/// `DescribeAlarms`: those of metrics only, unless somebody says which kinds.
pub(super) fn describe(alarms: &Alarms, region: &str, asked: &Value) -> Result<Value, Reply> {
    for unknown in ["ChildrenOfAlarmName", "ParentsOfAlarmName", "ActionPrefix"] {
        if asked.get(unknown).is_some() {
            return Err(invalid(&format!("{unknown} is not modelled by the rehearsal account")));
        }
    }
    let (names, prefix) = (names(asked)?, asked.get("AlarmNamePrefix").and_then(Value::text));
    if names.is_some() && prefix.is_some() {
        let message = "AlarmNamePrefix and AlarmNames must not be specified together";
        return Err(error(400, "ValidationError", message));
    }
    let wanted = asked.get("StateValue").and_then(Value::text).map(state).transpose()?;
    let kinds = asked.get("AlarmTypes").and_then(Value::list);
    let is_kind = |composite: bool| {
        let word = if composite { "CompositeAlarm" } else { "MetricAlarm" };
        kinds.map_or(!composite, |all| all.iter().any(|one| one.text() == Some(word)))
    };
    let most = asked.get("MaxRecords").and_then(Value::whole).unwrap_or(USUAL);
    let most = usize::try_from(most).ok().filter(|_| (1..=MOST).contains(&most));
    let most = most.ok_or_else(|| invalid("MaxRecords must be between 1 and 100"))?;
    let after = asked.get("NextToken").and_then(Value::text);
    let mut found = alarms.iter().filter(|(name, alarm)| {
        names.as_ref().is_none_or(|names| names.contains(name))
            && prefix.is_none_or(|prefix| name.starts_with(prefix))
            && wanted.is_none_or(|state| alarm.state == state)
            && is_kind(alarm.composite)
            && after.is_none_or(|after| name.as_str() > after)
    });
    let page: Vec<_> = found.by_ref().take(most).collect();
    let kind = |composite: bool| {
        let of = page.iter().filter(|(_, alarm)| alarm.composite == composite);
        Value::List(of.map(|(name, alarm)| shape(region, name, alarm)).collect())
    };
    let mut output = BTreeMap::from([
        ("CompositeAlarms".to_owned(), kind(true)),
        ("MetricAlarms".to_owned(), kind(false)),
    ]);
    if let (Some(_), Some((last, _))) = (found.next(), page.last()) {
        output.insert("NextToken".to_owned(), Value::Text((*last).clone()));
    }
    Ok(Value::Map(output))
}

fn shape(region: &str, name: &str, alarm: &Alarm) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are few enough")]
    let moment = |at: Timestamp| Value::Moment(at.as_millisecond() as f64 / 1000.0);
    let mut members: BTreeMap<String, Value> =
        alarm.said.iter().map(|(name, value)| (name.clone(), json::value(value.clone()))).collect();
    let arn = format!("arn:aws:cloudwatch:{region}:{ACCOUNT_ID}:alarm:{name}");
    for (member, value) in [
        ("AlarmName", text(name)),
        ("AlarmArn", text(&arn)),
        ("StateValue", text(alarm.state.word())),
        ("StateReason", text(&alarm.reason)),
        ("AlarmConfigurationUpdatedTimestamp", moment(alarm.configured)),
        ("StateUpdatedTimestamp", moment(alarm.updated)),
        ("StateTransitionedTimestamp", moment(alarm.changed)),
    ] {
        members.insert(member.to_owned(), value);
    }
    if let Some(data) = &alarm.reason_data {
        members.insert("StateReasonData".to_owned(), text(data));
    }
    for list in ["OKActions", "AlarmActions", "InsufficientDataActions"] {
        members.entry(list.to_owned()).or_insert_with(|| Value::List(Vec::new()));
    }
    Value::Map(members)
}

fn state(word: &str) -> Result<State, Reply> {
    State::of(word).ok_or_else(|| {
        let message = format!(
            "1 validation error detected: Value '{word}' at 'stateValue' failed to satisfy \
             constraint: Member must satisfy enum value set: [INSUFFICIENT_DATA, ALARM, OK]"
        );
        error(400, "ValidationError", &message)
    })
}

fn text<'a>(asked: &'a Value, name: &str) -> Result<&'a str, Reply> {
    let found = asked.get(name).and_then(Value::text).filter(|text| !text.is_empty());
    found.ok_or_else(|| missing(name))
}

fn names(asked: &Value) -> Result<Option<Vec<String>>, Reply> {
    let Some(all) = asked.get("AlarmNames").and_then(Value::list) else { return Ok(None) };
    if all.len() > NAMES {
        return Err(invalid("AlarmNames must have at most 100 members"));
    }
    Ok(Some(all.iter().filter_map(Value::text).map(str::to_owned).collect()))
}
