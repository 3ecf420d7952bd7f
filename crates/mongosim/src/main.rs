//! The simulator as a program, for tests that start a server: `mongosim --port N`, with the names that `mongod` has for it.

// It stands in for a server, and says to whoever started it where it listens.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stderr,
    clippy::print_stdout
)]

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use vouchsafe_mongosim::{Mongo, NewUser, Settings};

const USAGE: &str = "\
usage: mongosim [--port N] [--bind ADDRESS] [--unix-socket PATH] [--no-tcp] [--replSet NAME] [--oplog ENTRIES] [--auth]
                [--users FILE]     lines of: name, password, and roles as role@database, with spaces between
  of mongod it also takes: --bind_ip ADDRESS, --unixSocketPrefix DIR, --dbpath DIR (nothing is written there)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match settings(&arguments)
        .and_then(|settings| Mongo::with(&settings).map_err(|error| error.to_string()))
    {
        Ok(mongo) => {
            println!("{}", mongo.uri());
            // Whoever started it may have closed the pipe already.
            let _ = std::io::stdout().flush();
            loop {
                std::thread::park();
            }
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn settings(arguments: &[String]) -> Result<Settings, String> {
    let mut settings = Settings {
        port: 27017,
        ..Settings::default()
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (name, inline) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        match name {
            "--auth" => settings.auth = true,
            "--no-tcp" => settings.tcp = false,
            _ => {
                let value = inline.or_else(|| words.next().cloned());
                let value = value.ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
                set(&mut settings, name, &value)?;
            }
        }
    }
    Ok(settings)
}

fn set(settings: &mut Settings, name: &str, value: &str) -> Result<(), String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{name} {value}: {error}");
    match name {
        "--port" => settings.port = value.parse().map_err(|error| wrong(&error))?,
        "--bind" | "--bind_ip" => {
            let first = value
                .split(',')
                .next()
                .unwrap_or_default()
                .replace("localhost", "127.0.0.1");
            settings.bind = first.parse().map_err(|error| wrong(&error))?;
        }
        "--unix-socket" => settings.socket = Some(PathBuf::from(value)),
        "--unixSocketPrefix" => settings.socket_dir = Some(PathBuf::from(value)),
        "--replSet" => value.clone_into(&mut settings.set),
        "--oplog" => settings.oplog = value.parse().map_err(|error| wrong(&error))?,
        "--users" => {
            let text = std::fs::read_to_string(value).map_err(|error| wrong(&error))?;
            settings.users = text
                .lines()
                .filter(|line| !line.trim().is_empty())
                .map(user)
                .collect::<Result<_, _>>()?;
        }
        "--dbpath" => {}
        other => return Err(format!("{other} is not known\n{USAGE}")),
    }
    Ok(())
}

fn user(line: &str) -> Result<NewUser, String> {
    let mut words = line.split_whitespace().map(str::to_owned);
    match (words.next(), words.next()) {
        (Some(name), Some(password)) => Ok(NewUser {
            name,
            password,
            roles: words.collect(),
        }),
        _ => Err("a line of the users' file has a name, a password and roles".to_owned()),
    }
}
