//! CloudWatch's alarms: how they stand, and what they are about. None is made or changed.

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{
    AlarmType, CompositeAlarm, Dimension, Metric, MetricAlarm, MetricDataQuery, StateValue,
};

use super::Failure;

const CALL: &str = "cloudwatch:DescribeAlarms";

/// Where an alarm is, in CloudWatch's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All is well.
    Ok,
    /// It fires.
    Alarm,
    /// Nothing is known: it is new, or what it looks at has no numbers.
    InsufficientData,
}

impl State {
    /// CloudWatch's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }

    /// What nobody knows the meaning of is as good as nothing known.
    const fn read(told: Option<&StateValue>) -> Self {
        match told {
            Some(StateValue::Ok) => Self::Ok,
            Some(StateValue::Alarm) => Self::Alarm,
            _ => Self::InsufficientData,
        }
    }
}

/// An alarm, of one metric, of several, or of other alarms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub state: State,
    /// Why, as CloudWatch says it; it may be empty.
    pub reason: String,
    /// What its metrics are about: names and values of their dimensions. Empty for one of other alarms.
    pub about: Vec<(String, String)>,
}

impl Alarm {
    /// Whether one of its metrics is about this.
    pub fn is_about(&self, name: &str, value: &str) -> bool {
        self.about.iter().any(|(its, of)| its == name && of == value)
    }

    /// In one line.
    pub fn say(&self) -> String {
        let (name, state) = (&self.name, self.state.word());
        if self.reason.is_empty() {
            return format!("{name} is {state}");
        }
        format!("{name} is {state}: {}", self.reason)
    }
}

/// The alarms with these names, at most a hundred, in no order; those that are not there are left out.
pub async fn named(config: &SdkConfig, names: &[String]) -> Result<Vec<Alarm>, Failure> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    read(config, Some(names.to_vec()), None).await
}

/// All alarms that fire now.
pub async fn firing(config: &SdkConfig) -> Result<Vec<Alarm>, Failure> {
    read(config, None, Some(StateValue::Alarm)).await
}

async fn read(
    config: &SdkConfig,
    names: Option<Vec<String>>,
    state: Option<StateValue>,
) -> Result<Vec<Alarm>, Failure> {
    // Where no kind is named, CloudWatch tells of those of metrics only.
    let mut pages = Client::new(config)
        .describe_alarms()
        .set_alarm_names(names)
        .set_state_value(state)
        .alarm_types(AlarmType::MetricAlarm)
        .alarm_types(AlarmType::CompositeAlarm)
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new(CALL, &error))?;
        found.extend(page.metric_alarms().iter().filter_map(of_metrics));
        found.extend(page.composite_alarms().iter().filter_map(of_alarms));
    }
    Ok(found)
}

fn of_metrics(told: &MetricAlarm) -> Option<Alarm> {
    let queried = told.metrics().iter().filter_map(MetricDataQuery::metric_stat);
    let queried = queried.filter_map(|stat| stat.metric()).flat_map(Metric::dimensions);
    let both = |of: &Dimension| Some((of.name()?.to_owned(), of.value()?.to_owned()));
    Some(Alarm {
        name: told.alarm_name()?.to_owned(),
        state: State::read(told.state_value()),
        reason: told.state_reason().unwrap_or_default().to_owned(),
        about: told.dimensions().iter().chain(queried).filter_map(both).collect(),
    })
}

fn of_alarms(told: &CompositeAlarm) -> Option<Alarm> {
    Some(Alarm {
        name: told.alarm_name()?.to_owned(),
        state: State::read(told.state_value()),
        reason: told.state_reason().unwrap_or_default().to_owned(),
        about: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudwatch::types::MetricStat;

    use super::*;

    #[test]
    fn what_an_alarm_is_about_is_read_from_its_metric_and_from_each_of_several() {
        let of = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
        let plain = MetricAlarm::builder()
            .alarm_name("slow")
            .state_value(StateValue::Alarm)
            .state_reason("Threshold Crossed")
            .dimensions(of("TargetGroup", "targetgroup/ci/1"))
            .build();
        let read = of_metrics(&plain).unwrap();
        assert!(read.is_about("TargetGroup", "targetgroup/ci/1") && !read.is_about("x", "y"));
        assert_eq!(read.say(), "slow is ALARM: Threshold Crossed");
        let metric = Metric::builder().dimensions(of("InstanceId", "i-1")).build();
        let stat = MetricStat::builder().metric(metric).build();
        let several = MetricAlarm::builder()
            .alarm_name("share")
            .metrics(MetricDataQuery::builder().id("m1").metric_stat(stat).build())
            .metrics(MetricDataQuery::builder().id("e1").expression("m1 / 2").build())
            .build();
        let read = of_metrics(&several).unwrap();
        assert!(read.is_about("InstanceId", "i-1"));
        assert_eq!(
            (read.state, read.say().as_str()),
            (State::InsufficientData, "share is INSUFFICIENT_DATA")
        );
    }
}
