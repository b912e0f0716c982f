//! The page, built into the program: each file with an ETag, so that a reload costs a few bytes.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use warp::Reply;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue};
use warp::http::{Response, StatusCode};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// The files, by the path under which they are served; the first is the page.
const ASSETS: &[Asset] = &[
    Asset::new("", HTML, include_bytes!("../../assets/index.html")),
    Asset::new("app.js", SCRIPT, include_bytes!("../../assets/app.js")),
    Asset::new(
        "condition.js",
        SCRIPT,
        include_bytes!("../../assets/condition.js"),
    ),
    Asset::new("parts.js", SCRIPT, include_bytes!("../../assets/parts.js")),
    Asset::new(
        "stream.js",
        SCRIPT,
        include_bytes!("../../assets/stream.js"),
    ),
    Asset::new("wiki.js", SCRIPT, include_bytes!("../../assets/wiki.js")),
    Asset::new("style.css", STYLE, include_bytes!("../../assets/style.css")),
];

/// A file of the page.
#[derive(Debug)]
pub(crate) struct Asset {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

impl Asset {
    const fn new(path: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Self {
        Asset {
            path,
            content_type,
            bytes,
        }
    }

    /// The file that is served under this path, given without the slash before it.
    pub(crate) fn at(path: &str) -> Option<&'static Asset> {
        ASSETS.iter().find(|asset| asset.path == path)
    }

    /// The file, or that the client has it already.
    pub(crate) fn reply(&self, if_none_match: Option<&str>) -> warp::reply::Response {
        let tag = self.tag();
        let known = if_none_match.is_some_and(|tags| names(tags, &tag));
        let body = if known { &[] } else { self.bytes };
        let mut reply = Response::new(Bytes::from_static(body)).into_response();
        if known {
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        // Kept, but asked about each time: after an upgrade of the program no browser runs yesterday's script.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(ETAG, etag(&tag));
        reply
    }

    fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.bytes.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }
}

/// Whether an If-None-Match names this tag; a proxy that compressed the answer may have made it weak.
pub(crate) fn names(if_none_match: &str, tag: &str) -> bool {
    let mut named = if_none_match.split(',').map(str::trim);
    named.any(|named| named == "*" || named.trim_start_matches("W/") == tag)
}

/// A tag as a header.
pub(crate) fn etag(tag: &str) -> HeaderValue {
    HeaderValue::from_str(tag).expect("tags are made of digits and quotes")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn what_a_client_has_is_not_sent_again() {
        let index = Asset::at("").unwrap();
        let first = index.reply(None);
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[ETAG].to_str().unwrap();
        for has in [
            tag.to_owned(),
            format!("W/{tag}"),
            format!("\"other\", {tag}"),
            "*".to_owned(),
        ] {
            assert_eq!(
                index.reply(Some(&has)).status(),
                StatusCode::NOT_MODIFIED,
                "{has}"
            );
        }
        assert_eq!(index.reply(Some("\"other\"")).status(), StatusCode::OK);
    }

    #[test]
    fn files_differ_by_tag() {
        let tags: HashSet<String> = ASSETS.iter().map(Asset::tag).collect();
        assert_eq!(tags.len(), ASSETS.len());
    }

    #[test]
    fn the_page_asks_for_nothing_that_is_not_served() {
        let page = std::str::from_utf8(Asset::at("").unwrap().bytes).unwrap();
        let scripts = ASSETS
            .iter()
            .map(|asset| std::str::from_utf8(asset.bytes).unwrap());
        let quoted = scripts
            .flat_map(|text| text.split(['"', '\'']))
            .chain(page.split('"'));
        let files = quoted.filter(|name| {
            let name = name.trim_start_matches("./");
            name.ends_with(".js") || name.ends_with(".css")
        });
        let mut count = 0;
        for file in files {
            assert!(Asset::at(file.trim_start_matches("./")).is_some(), "{file}");
            count += 1;
        }
        assert!(count > 0);
    }
}
