//! All orders of a period in one file, for registers that can't turn pages.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::engine::Engine;
use crate::model::{Page, Report};
use crate::request::Detail;
use crate::sdk::Error;
use crate::text::text;

/// A page of order_detail, as far as it has to be understood here.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    total_count: u64,
    #[serde(borrow, default)]
    order_details: Vec<&'a RawValue>,
}

#[derive(Serialize)]
struct Saved {
    total_count: u64,
    saved_count: u64,
}

/// Turns all pages and writes every entry, as the gateway wrote it, on a line of its own. The
/// period's end is fixed by the request, so that new orders don't move the pages.
pub(crate) fn save(engine: &Engine, asked: &Detail, path: &Path) -> Result<Box<RawValue>, Error> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let saved = write_pages(engine, asked, part).and_then(|saved| {
        std::fs::rename(part, path).map_err(|error| unwritable(path, &error))?;
        Ok(saved)
    });
    if saved.is_err() {
        // Half a file would look like a whole one.
        let _ = std::fs::remove_file(part);
    }
    serde_json::value::to_raw_value(&saved?)
        .map_err(|error| Error::internal(text!("内部错误：{error}", "internal error: {error}")))
}

fn write_pages(engine: &Engine, asked: &Detail, part: &Path) -> Result<Saved, Error> {
    let file = File::create(part).map_err(|error| unwritable(part, &error))?;
    let mut file = BufWriter::new(file);
    let mut saved_count = 0;
    for number in asked.page.number.. {
        let words = engine.report(&Report::Orders {
            scope: asked.scope.clone(),
            page: Page {
                number,
                size: asked.page.size,
            },
        })?;
        let answer: Answer<'_> = serde_json::from_str(words.get()).map_err(|error| {
            Error::unknown(text!(
                "交易明细应答无法解析：{error}",
                "the page can't be read: {error}"
            ))
        })?;
        for entry in &answer.order_details {
            // One line each: JSON has no line breaks inside strings, only between its parts.
            let line = entry.get().replace(['\r', '\n'], " ");
            writeln!(file, "{line}").map_err(|error| unwritable(part, &error))?;
            saved_count += 1;
        }
        if answer.order_details.is_empty() || saved_count >= answer.total_count {
            file.flush()
                .and_then(|()| file.get_ref().sync_all())
                .map_err(|error| unwritable(part, &error))?;
            return Ok(Saved {
                total_count: answer.total_count,
                saved_count,
            });
        }
    }
    Err(Error::unknown(text!("页数过多", "too many pages")))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    let path = path.display();
    Error::internal(text!(
        "save_to：无法写入 {path}：{error}",
        "save_to: can't write {path}: {error}"
    ))
}
