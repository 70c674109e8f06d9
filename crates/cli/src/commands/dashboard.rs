//! `dashboard`: the page, served on this machine for as long as the command runs.

use crate::args::{Access, Dashboard};
use crate::commands::{entered, open};
use crate::end::{End, Failure};
use crate::out::Out;
use crate::page::{Entry, Guard, Page, Shown, Wishes, acts, router, secret, watch};
use serde::Serialize;
use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// Acts that may wait to be carried out.
const ACTS: usize = 8;

#[derive(Serialize)]
struct Served {
    /// Where it listens.
    address: String,
    /// The file that opens it, once.
    file: String,
    act: bool,
}

pub(super) async fn run(access: Access, out: &Out, wish: Dashboard) -> Result<End, Failure> {
    // Two accounts: what looks counts its calls, and finds the installation anew now and then.
    let account = entered(access.clone(), out).await?;
    let acting = open(access.clone()).await?;
    let listens = TcpListener::bind((Ipv4Addr::LOCALHOST, wish.port)).await;
    let busy = |error| Failure::usage(format!("127.0.0.1:{}: {error}. Give another --port", wish.port));
    let listener = listens.map_err(busy)?;
    let port = listener.local_addr().map_err(busy)?.port();
    let address = format!("http://127.0.0.1:{port}/");
    let secret = secret();
    let file = redirect(&address, &secret)
        .map_err(|error| Failure::usage(format!("the file that opens the page can't be written: {error}")))?;
    let path = file.path().to_path_buf();
    let served = Served { address: address.clone(), file: path.display().to_string(), act: wish.act };
    // For programs a line, as everything that lasts.
    if out.json() {
        out.again(&served, String::new)?
    } else {
        out.text(&text(&served))?
    }
    if !wish.no_open && out.watched() && open::that_detached(&path).is_err() {
        out.say("No browser could be opened: open the file yourself.")?;
    }
    let (shows, shown) = watch::channel(Shown::default());
    let (asks, asked) = mpsc::channel(ACTS);
    let wishes = Arc::new(Wishes::default());
    let guard = Guard::new(port, Entry::new(secret, Some(file)), wish.act);
    let page = Arc::new(Page { guard, shown, wishes: wishes.clone(), acts: asks });
    tokio::select! {
        ended = axum::serve(listener, router(page)) => {
            ended.map_err(|error| Failure::usage(format!("the page can't be served: {error}")))?;
        }
        () = watch(access, account, wish.act, shows, wishes) => {}
        () = acts(&acting, asked) => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(End::Fine)
}

fn text(served: &Served) -> String {
    let may = if served.act {
        "It may approve, reject and stop."
    } else {
        "It shows only; --act lets approvals be answered on it."
    };
    format!(
        "The page is at {}. {may}\nThis file opens it, once:\n\n  {}\n\nCtrl-C ends it.\n",
        served.address, served.file
    )
}

/// A file that leads a browser to the page. The address has a secret: as an argument it would show in `ps`; the file is
/// its owner's alone.
fn redirect(address: &str, secret: &str) -> std::io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix("tagship-").suffix(".html").tempfile()?;
    let to = format!("{address}enter?secret={secret}");
    write!(
        file,
        "<!doctype html><meta charset=utf-8><meta name=referrer content=no-referrer><title>tagship</title>\n\
         <meta http-equiv=refresh content=\"0; url={to}\">\n<p><a href=\"{to}\">Open the page</a></p>\n"
    )?;
    file.flush()?;
    Ok(file)
}
