//! The transport of OpenDAL's services, with an end to every body: they collect answers before they look at them.

use futures_util::StreamExt;
use http::{Method, Request, Response};
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport, Result};
use opendal_http_transport_reqwest::ReqwestTransport;
use reqwest::Client;

use super::http::LONGEST_REFUSAL;
use crate::LARGEST;

/// Bytes that an answer may have which is no object: a folder of a million files has some 500 MB.
const LONGEST_ANSWER: u64 = 512 << 20;

/// Bytes that an answer about one object may have.
const LONGEST_OF_ONE: u64 = 1 << 20;

/// Our client, whose answers break off where no honest one would go on.
pub(super) struct Bounded(ReqwestTransport);

impl Bounded {
    pub(super) fn new(client: Client) -> Self {
        Self(ReqwestTransport::new(client))
    }
}

impl HttpTransport for Bounded {
    async fn fetch(&self, request: Request<Buffer>) -> Result<Response<HttpBody>> {
        let longest = longest(&request);
        let answer = self.0.fetch(request).await?;
        let most = match answer.status().is_success() {
            true => longest,
            false => LONGEST_REFUSAL,
        };
        let mut seen = 0;
        Ok(answer.map(|body| {
            body.map_inner(|parts| {
                Box::new(parts.map(move |part| {
                    let part = part?;
                    seen += part.len() as u64;
                    match seen > most {
                        true => Err(Error::new(
                            ErrorKind::Unexpected,
                            "it answers without an end",
                        )),
                        false => Ok(part),
                    }
                }))
            })
        }))
    }
}

fn longest(request: &Request<Buffer>) -> u64 {
    let query = request.uri().query();
    // They are got without a question, or with `alt=media`; whoever reads one stops by himself.
    let is_object =
        request.method() == Method::GET && query.is_none_or(|query| query.contains("alt=media"));
    // WebDAV is asked so about a single object.
    let is_about_one = request.headers().get("depth").is_some_and(|d| d == "0");
    match (is_object, is_about_one) {
        (true, _) => LARGEST,
        (_, true) => LONGEST_OF_ONE,
        _ => LONGEST_ANSWER,
    }
}
