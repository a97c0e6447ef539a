//! Profiles real programs, for a look at the result: `loads FOLDER [VERSION] [SECONDS]` writes
//! `typescript.html`, `http.txt` and so on into FOLDER.

use std::{path::Path, process::ExitCode};

use tests::{
    loads::{Load, profile},
    version::Version,
};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(folder) = args.next() else {
        eprintln!("usage: loads FOLDER [VERSION] [SECONDS]");
        return ExitCode::from(2);
    };
    let version = args.next().map_or(Ok(Version::new(22, 23, 3)), |v| v.parse());
    let seconds = args.next().map_or(Ok(2.0), |s| s.parse());
    let (Ok(version), Ok(seconds)) = (version, seconds) else {
        eprintln!("usage: loads FOLDER [VERSION] [SECONDS]");
        return ExitCode::from(2);
    };
    let mut failed = false;
    for load in Load::ALL {
        match profile(load, version, seconds, Path::new(&folder)) {
            Ok(report) => println!("{}:\n{report}", load.name()),
            Err(message) => {
                eprintln!("{}: {message}", load.name());
                failed = true;
            }
        }
    }
    ExitCode::from(u8::from(failed))
}
