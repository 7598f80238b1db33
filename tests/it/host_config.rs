//! What a host is told, looked at from a command line: offline, and beside a metadata service.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;

use crate::support::{hostkit, repository, scratch};

fn said(output: &assert_cmd::assert::Assert) -> String {
    String::from_utf8(output.get_output().stdout.clone()).expect("it is text")
}

#[test]
fn all_that_is_wrong_with_a_host_toml_is_said_where_it_stands() {
    let folder = scratch();
    let wrong = "rolle = \"controller\"\n\n[efs]\nid = \"fs-x\"\ncross_az = \"yes\"\nmountpoint = \"/x\"\n\n\
                 [[mount]]\nid = \"fs-0123456789abcdef0\"\n\n[jenkins]\nheap = 95\n\n\
                 [jenkins.pools.linux]\nexecutors = 0\n";
    fs::write(folder.path().join("host.toml"), wrong).unwrap();
    let check = || {
        let mut command = hostkit();
        command.current_dir(folder.path()).args(["check", "--host", "host.toml"]);
        command
    };
    insta::assert_snapshot!(said(&check().assert().code(3)));
    let json = said(&check().args(["--format", "json"]).assert().code(3));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let problems = json["problems"].as_array().unwrap();
    assert_eq!(json["errors"], problems.len());
    assert!(problems.iter().all(|problem| problem["line"].is_number()), "{problems:?}");
}

#[test]
fn what_a_layer_leaves_open_is_no_error() {
    let folder = scratch();
    fs::write(folder.path().join("user-data"), "role = \"controller\"\n").unwrap();
    let mut command = hostkit();
    command.current_dir(folder.path()).args(["check", "--host", "user-data"]);
    insta::assert_snapshot!(said(&command.assert().success()));
    fs::write(folder.path().join("user-data"), "#!/bin/sh\nset -e\n").unwrap();
    let mut command = hostkit();
    command.current_dir(folder.path()).args(["check", "--host", "user-data"]).assert().code(3);
    let right = repository("src/host/check/right.toml");
    hostkit().args(["check", "--host"]).arg(right).assert().success();
}

/// A metadata service of a few words, for a whole process. Says where it is.
fn metadata() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let mut lines = Vec::new();
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line).unwrap_or(0) == 0 {
                            return;
                        }
                        if line.trim().is_empty() {
                            break;
                        }
                        lines.push(line);
                    }
                    let first = lines[0].clone();
                    let body = match first.split(' ').nth(1).unwrap() {
                        "/latest/api/token" => "TOKEN",
                        "/2021-03-23/user-data" => "[drain]\npatience = 60\n",
                        "/2021-03-23/dynamic/instance-identity/document" => {
                            r#"{"instanceId": "i-0bbbbbbbbbbbbbbbb", "accountId": "123456789012",
                                "region": "eu-west-1", "availabilityZone": "eu-west-1a",
                                "imageId": "ami-0a", "privateIp": "10.0.2.15"}"#
                        }
                        _ => "",
                    };
                    let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
                    let length = body.len();
                    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
                    stream.write_all((head + body).as_bytes()).unwrap();
                }
            });
        }
    });
    address
}

#[test]
fn a_proxy_in_the_environment_is_never_asked() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        while proxy.accept().is_ok() {
            let _ = tell.send(());
        }
    });
    let folder = scratch();
    let config = folder.path().join("host.toml");
    fs::write(&config, "role = \"agent\"\n").unwrap();
    let mut command = hostkit();
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"] {
        command.env(name, &url);
    }
    command
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("http://{}", metadata()))
        .args(["boot", "--plan", "--config"])
        .arg(&config);
    let text = said(&command.assert().success());
    assert!(text.contains("this is i-0bbbbbbbbbbbbbbbb in eu-west-1a"), "{text}");
    let patience = text.lines().find(|line| line.starts_with("drain.patience")).unwrap();
    assert!(patience.contains("60") && patience.ends_with("user-data"), "{text}");
    assert!(told.try_recv().is_err(), "the proxy was asked");
}

#[test]
fn the_steps_of_a_role_are_shown_anywhere_and_nothing_is_asked() {
    for role in ["controller", "agent", "ecs"] {
        let text = said(&hostkit().args(["boot", "--plan", "--role", role]).assert().success());
        assert!(text.contains("identity") && text.contains("lifecycle"), "{text}");
        let dot = said(&hostkit().args(["boot", "--dot", "--role", role]).assert().success());
        assert!(dot.starts_with("digraph"), "{dot}");
    }
}
