//! Starts the sandbox gateway and prints what a register needs.

use std::path::PathBuf;
use std::process::ExitCode;

use cloudpay_sandbox::{Options, Sandbox};

const HELP: &str = "\
cloudpay-sandbox: a gateway to try cloudpay against

  --listen ADDRESS      HTTPS, default 127.0.0.1:8443
  --control ADDRESS     control interface, plain HTTP, default 127.0.0.1:8444
  --extra N             N more HTTPS listeners, on free ports
  --data DIR            where files are kept, default ./sandbox-data
  --ca-dir DIR          where the certificate authority is kept, default DIR of --data
  --callback-url URL    where payments and refunds are notified
  --callback-ca FILE    a root (PEM) to trust for that URL
";

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprint!("{why}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match Sandbox::start(options) {
        Ok(sandbox) => {
            greet(&sandbox);
            loop {
                std::thread::park();
            }
        }
        Err(e) => {
            eprintln!("cloudpay-sandbox: {e}");
            ExitCode::FAILURE
        }
    }
}

fn greet(sandbox: &Sandbox) {
    let m = sandbox.merchant();
    println!("gateway          {}", sandbox.urls().join(" "));
    println!("console          {}/", sandbox.control_url());
    println!("CA file          {}", sandbox.ca_file().display());
    println!("configuration    {}", sandbox.conf_file().display());
    println!("epay123          {}", sandbox.epay123_conf_file().display());
    println!("out_mch_id       {}", m.out_mch_id);
    println!("out_sub_mch_id   {}", m.out_sub_mch_id);
    println!("out_shop_id      {}", m.out_shop_id);
    println!("order prefix     {}", m.order_prefix);
    println!("authen_key       {}", m.authen_key);
    println!(
        "private key      {}",
        sandbox.data_dir().join("merchant-private.pem").display()
    );
    println!("\nTest values, known to everybody: they are worth nothing at a real gateway.");
}

/// `None`: help is asked for.
fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let address = |text: &str| text.parse().map_err(|e| format!("{text}: {e}"));
    let mut options = Options {
        listen: address("127.0.0.1:8443")?,
        control_listen: address("127.0.0.1:8444")?,
        data_dir: Some(absolute("sandbox-data")),
        ..Options::default()
    };
    while let Some(name) = args.next() {
        if matches!(name.as_str(), "--help" | "-h") {
            return Ok(None);
        }
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--listen" => options.listen = address(&value)?,
            "--control" => options.control_listen = address(&value)?,
            "--extra" => {
                options.extra_listeners = value.parse().map_err(|e| format!("{value}: {e}"))?
            }
            "--data" => options.data_dir = Some(absolute(&value)),
            "--ca-dir" => options.ca_dir = Some(absolute(&value)),
            "--callback-url" => options.callback_url = Some(value),
            "--callback-ca" => options.callback_ca = Some(absolute(&value)),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(Some(options))
}

/// The configuration file names these paths, and a register may run anywhere.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path))
}
