//! One request to a service that is no store, by the client of remote stores.

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use vouchsafe_model::Wire;

use super::{http, reason, runtime};
use crate::post::{Post, PostError};

pub(crate) fn send(request: &Post<'_>, wire: Wire) -> Result<Vec<u8>, PostError> {
    let url = || request.url.to_owned();
    let lost = |reason: String| PostError::Unreachable { url: url(), reason };
    let client = http::client_that_follows(0, wire, request.min_tls);
    let client = client.map_err(|e| lost(reason(&e)))?;
    let longest = request.longest;
    let sent = runtime::wait(async {
        let failed = |e: reqwest::Error| lost(reason(&e.without_url()));
        let answer = client
            .post(request.url)
            .header(CONTENT_TYPE, request.content_type)
            .timeout(request.within)
            .body(request.body.to_vec())
            .send()
            .await
            .map_err(failed)?;
        if answer.status() != StatusCode::OK {
            return Err(PostError::Refused {
                url: url(),
                status: answer.status().as_u16(),
            });
        }
        let body = http::body(answer, longest as u64).await.map_err(failed)?;
        body.ok_or_else(|| PostError::TooLong {
            url: url(),
            longest,
        })
    });
    sent.map_err(lost)?
}
