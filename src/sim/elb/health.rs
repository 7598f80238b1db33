//! Asks targets whether they are well, as a load balancer does: over HTTP or TCP, where there is a
//! way from here into the machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::follow_groups;
use crate::sim::account::Account;
use crate::sim::endpoint::{Shared, with};
use crate::sim::instance::State;
use crate::sim::target_group::{Answer, Check};

/// How often is looked who is to be asked.
const GLANCE: Duration = Duration::from_millis(250);

/// One question.
#[derive(Clone, Debug)]
struct Question {
    region: String,
    group: String,
    target: String,
    /// Nowhere: there is no way into it.
    address: Option<SocketAddr>,
    /// Whether it is not to be found well yet, whatever it says.
    unwell: bool,
    check: Check,
}

/// Asks all targets of an account, for ever.
pub async fn watch(account: Shared) {
    loop {
        let questions = with(&account, due);
        let asked = questions.into_iter().map(async |question| {
            let answer = ask(&question).await;
            (question, answer)
        });
        for (Question { region, group, target, check, .. }, answer) in join_all(asked).await {
            with(&account, |account| {
                let found = account.region(&region).target_groups.get_mut(&group);
                if let Some(target) = found.and_then(|group| group.targets.get_mut(&target)) {
                    target.take(answer, &check);
                }
            });
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Who is to be asked now; they are asked again after the interval.
fn due(account: &mut Account) -> Vec<Question> {
    follow_groups(account);
    let now = account.now();
    let (speed, mut due) = (account.conditions.clone(), Vec::new());
    for (region, there) in &mut account.regions {
        for group in there.target_groups.values_mut() {
            group.settle(now);
            if group.load_balancers.is_empty() || !group.check.enabled {
                continue;
            }
            let (arn, check) = (group.arn.clone(), group.check.clone());
            let fixed = check.port.parse().ok();
            for (id, target) in &mut group.targets {
                if target.next > now || target.draining.is_some() || target.scripted.is_some() {
                    continue;
                }
                target.next = now + speed.takes(Duration::from_secs(check.interval));
                due.push((
                    region.clone(),
                    arn.clone(),
                    id.clone(),
                    fixed.unwrap_or(target.port),
                    check.clone(),
                ));
            }
        }
    }
    let question = |(region, group, target, port, check): (String, String, String, u16, Check)| {
        let address = way(account, &target, port);
        let unwell = is_unwell(account, &target);
        Question { region, group, target, address, unwell, check }
    };
    due.into_iter().map(question).collect()
}

/// Whether an instance is so fresh that it is to be found unwell.
fn is_unwell(account: &Account, target: &str) -> bool {
    let spared = account.conditions.takes(account.conditions.unwell_for);
    let launched = account.instance(target).and_then(|instance| instance.since(State::Pending));
    launched.is_some_and(|launched| account.now() < launched + spared)
}

/// From here to a port of a target.
fn way(account: &Account, target: &str, port: u16) -> Option<SocketAddr> {
    let Some(instance) = account.instance(target) else {
        // An address of this machine's own.
        let address: Ipv4Addr = target.parse().ok()?;
        return address.is_loopback().then(|| SocketAddr::from((address, port)));
    };
    if let Some(&host) = instance.ports.get(&port) {
        return Some(SocketAddr::from((Ipv4Addr::LOCALHOST, host)));
    }
    let launch = instance.launch.as_ref()?;
    let address: Ipv4Addr = launch.public_ip.as_ref().unwrap_or(&launch.private_ip).parse().ok()?;
    address.is_loopback().then(|| SocketAddr::from((address, port)))
}

async fn ask(question: &Question) -> Answer {
    let patience = Duration::from_secs(question.check.timeout);
    if question.unwell {
        return Answer::Status(503);
    }
    let Some(address) = question.address else { return Answer::Silent };
    match timeout(patience, connect(address, &question.check)).await {
        Ok(answer) => answer,
        Err(_elapsed) => Answer::Silent,
    }
}

async fn connect(address: SocketAddr, check: &Check) -> Answer {
    let Ok(mut stream) = TcpStream::connect(address).await else { return Answer::Broken };
    // What is encrypted is not looked into.
    if check.protocol != "HTTP" {
        return Answer::Good;
    }
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: ELB-HealthChecker/2.0\r\n\
         Connection: close\r\n\r\n",
        check.path
    );
    if stream.write_all(request.as_bytes()).await.is_err() {
        return Answer::Broken;
    }
    let mut head = Vec::new();
    while !head.contains(&b'\n') {
        match stream.read_buf(&mut head).await {
            Ok(1..) if head.len() < 1024 => {}
            _ => break,
        }
    }
    // `HTTP/1.1 200 OK`
    let line = String::from_utf8_lossy(&head);
    match line.split_whitespace().nth(1).and_then(|word| word.parse().ok()) {
        Some(status) if check.accepts(status) => Answer::Good,
        Some(status) => Answer::Status(status),
        None => Answer::Broken,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::sim::account::{HOOK, REGION};

    /// A server that answers every question with this status.
    async fn server(status: &'static str) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 512]).await;
                let _ = stream.write_all(format!("HTTP/1.1 {status} X\r\n\r\n").as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn a_guest_in_service_is_registered_and_really_asked() {
        let mut account = Account::for_tests();
        let arn = account.balance("ci", 8080, "/login");
        let id = account.first().id.clone();
        let good = server("200").await;
        account.first().ports.insert(8080, good);
        assert!(due(&mut account).is_empty(), "its hook still waits");
        let now = account.now();
        account.first().complete(now, HOOK, true);
        let account = Arc::new(Mutex::new(account));
        let watching = tokio::spawn(watch(Arc::clone(&account)));
        let health = || {
            with(&account, |account| {
                let group = account.region(REGION).target_groups.get(&arn).cloned().unwrap();
                let target = group.targets.get(&id);
                target.map(|one| one.health(&group.check, Some(State::Running), true).state)
            })
        };
        let healthy = async {
            while health() != Some("healthy") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(10), healthy).await.expect("it answers 200");
        with(&account, |account| account.let_go(&id));
        with(&account, follow_groups);
        assert_eq!(health(), Some("draining"));
        watching.abort();
    }

    #[tokio::test]
    async fn what_a_target_answers_is_told_apart() {
        let asked = async |port: u16| {
            let question = Question {
                region: String::new(),
                group: String::new(),
                target: String::new(),
                address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
                unwell: false,
                check: Check::default(),
            };
            ask(&question).await
        };
        assert_eq!(asked(server("200").await).await, Answer::Good);
        assert_eq!(asked(server("503").await).await, Answer::Status(503));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        assert_eq!(asked(port).await, Answer::Broken);
    }
}
