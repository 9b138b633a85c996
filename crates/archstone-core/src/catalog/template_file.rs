//! The file of the `templated` catalog: lines of `catalog.REGION.SERVICE.KEY = value`
//! (`keystone.catalog.backends.templated` of the releases that had it).
//!
//! A key is `publicURL`, `internalURL` or `adminURL`, or the service's `name`, `description` or `id`. An underscore in
//! SERVICE stands for a hyphen. Blank lines and those that begin with `#` or `;` say nothing.
//!
//! The driver passed over whatever it did not understand, and endpoints were missing from the catalog; here it is said.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::url_template::{Substitutions, UrlTemplate};
use super::{Endpoint, Region, Service};
use crate::id::{EndpointId, RegionId, ServiceId};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct TemplateFile {
    /// In the order of their first lines.
    pub(super) regions: Vec<Region>,
    /// In the order of their first lines.
    pub(super) services: Vec<Service>,
    /// In the order of the file, with what is to be shown in catalogs.
    pub(super) endpoints: Vec<(Endpoint, UrlTemplate)>,
}

/// What is to be said about a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remark {
    /// Counted from 1.
    pub(super) line: u32,
    pub(super) text: String,
    /// Whether the file cannot be used as it is.
    pub(super) is_problem: bool,
}

/// What URLs can name besides user and project.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    /// `[DEFAULT] public_endpoint`.
    pub(super) public_endpoint: Option<&'a str>,
    /// The port of the service itself.
    pub(super) port: u16,
}

/// A line's `catalog.REGION.SERVICE.KEY = value`.
struct Entry<'a> {
    region: &'a str,
    service: String,
    key: &'a str,
    value: &'a str,
}

/// Reads a file as far as it can be read, and says what is wrong with the rest.
pub(super) fn parse(text: &str, values: &Values<'_>) -> (TemplateFile, Vec<Remark>) {
    let mut reading = Reading::new(*values);
    for (index, line) in text.lines().enumerate() {
        reading.line = u32::try_from(index + 1).unwrap_or(u32::MAX);
        match entry(line) {
            Ok(Some(entry)) => reading.take(&entry),
            Ok(None) => {}
            Err(remark) => reading.remarks.push(Remark { line: reading.line, ..remark }),
        }
    }
    reading.finish()
}

fn entry(line: &str) -> Result<Option<Entry<'_>>, Remark> {
    let remark = |text: &str, is_problem| Err(Remark { line: 0, text: text.to_owned(), is_problem });
    let line = line.trim();
    if line.is_empty() || line.starts_with(['#', ';']) {
        return Ok(None);
    }
    if !line.starts_with("catalog.") {
        return remark("does not begin with `catalog.` and has no effect", false);
    }
    let Some((name, value)) = line.split_once('=') else {
        return remark("has no `=`: a line is `catalog.REGION.SERVICE.KEY = value`", true);
    };
    let (name, value) = (name.trim(), value.trim());
    let parts: Vec<&str> = name.split('.').collect();
    let &[_, region, service, key] = parts.as_slice() else {
        return remark("is not `catalog.REGION.SERVICE.KEY = value`: none of the three can have a dot", true);
    };
    if [region, service, key].iter().any(|part| part.is_empty() || part.contains(char::is_whitespace)) {
        return remark("is not `catalog.REGION.SERVICE.KEY = value`: one of the three is empty, or has a space", true);
    }
    if value.is_empty() {
        return remark("has no value", true);
    }
    Ok(Some(Entry { region, service: service.replace('_', "-"), key, value }))
}

struct Reading<'a> {
    values: Values<'a>,
    line: u32,
    file: TemplateFile,
    remarks: Vec<Remark>,
    /// Where each service first came.
    services: HashMap<String, Place>,
    /// The lines of region, service and key.
    seen: HashMap<(String, String, String), u32>,
}

struct Place {
    index: usize,
    line: u32,
    has_url: bool,
}

impl<'a> Reading<'a> {
    fn new(values: Values<'a>) -> Reading<'a> {
        Reading {
            values,
            line: 0,
            file: TemplateFile::default(),
            remarks: Vec::new(),
            services: HashMap::new(),
            seen: HashMap::new(),
        }
    }

    fn problem(&mut self, text: String) {
        self.remarks.push(Remark { line: self.line, text, is_problem: true });
    }

    fn warning(&mut self, text: String) {
        self.remarks.push(Remark { line: self.line, text, is_problem: false });
    }

    fn take(&mut self, entry: &Entry<'_>) {
        let full = (entry.region.to_owned(), entry.service.clone(), entry.key.to_owned());
        if let Some(before) = self.seen.insert(full, self.line) {
            return self.problem(format!("says again what line {before} says"));
        }
        if !self.file.regions.iter().any(|region| *region.id == *entry.region) {
            self.file.regions.push(Region {
                id: entry.region.into(),
                description: String::new(),
                parent_region_id: None,
                extra: Map::new(),
            });
        }
        let index = self.service(&entry.service);
        match entry.key {
            "publicURL" | "internalURL" | "adminURL" => self.endpoint(entry),
            "name" | "description" => self.attribute(index, entry),
            "id" => self.service_id(index, entry.value),
            other if other.to_ascii_lowercase().ends_with("url") => {
                self.problem(format!("names the interface {other}: there are publicURL, internalURL and adminURL"));
            }
            other => self.warning(format!("{other} has no effect: it is no URL, name, description or id")),
        }
    }

    /// The place of the service of this type, which is made if there is none.
    fn service(&mut self, service_type: &str) -> usize {
        if let Some(place) = self.services.get(service_type) {
            return place.index;
        }
        let index = self.file.services.len();
        self.services.insert(service_type.to_owned(), Place { index, line: self.line, has_url: false });
        self.file.services.push(Service {
            id: service_type.into(),
            service_type: Some(service_type.to_owned()),
            enabled: true,
            extra: Map::from_iter(
                [("name", ""), ("description", "")].map(|(key, value)| (key.to_owned(), value.into())),
            ),
        });
        index
    }

    /// Regions repeat them.
    fn attribute(&mut self, index: usize, entry: &Entry<'_>) {
        let known = self.file.services[index].extra.get(entry.key).and_then(Value::as_str).unwrap_or_default();
        if !known.is_empty() && known != entry.value {
            self.warning(format!(
                "gives {} another {} than an earlier line; this one counts",
                entry.service, entry.key
            ));
        }
        self.file.services[index].extra.insert(entry.key.to_owned(), entry.value.into());
    }

    fn service_id(&mut self, index: usize, id: &str) {
        let service = &mut self.file.services[index];
        let service_type = service.service_type.as_deref().unwrap_or_default();
        if *service.id != *service_type && *service.id != *id {
            let text = format!("gives {service_type} another id than an earlier line");
            return self.problem(text);
        }
        service.id = id.into();
    }

    fn endpoint(&mut self, entry: &Entry<'_>) {
        if let Some(place) = self.services.get_mut(&entry.service) {
            place.has_url = true;
        }
        let interface = entry.key.trim_end_matches("URL");
        let id = EndpointId::from(format!("{}-{}-{interface}", entry.region, entry.service));
        if self.file.endpoints.iter().any(|(endpoint, _)| endpoint.id == id) {
            return self.problem(format!("makes another endpoint whose id is {id}"));
        }
        match self.url(entry.value) {
            Err(reason) => self.problem(format!("has a URL that is not usable: {reason}")),
            Ok(url) => {
                let endpoint = Endpoint {
                    id,
                    interface: interface.to_owned(),
                    region_id: Some(RegionId::from(entry.region)),
                    // The type; the id is known when all lines are read.
                    service_id: ServiceId::from(entry.service.as_str()),
                    url: entry.value.to_owned(),
                    enabled: true,
                    extra: Map::new(),
                };
                self.file.endpoints.push((endpoint, url));
            }
        }
    }

    /// The driver knew the ports of Keystone's two servers, which are one now.
    fn url(&self, url: &str) -> Result<UrlTemplate, String> {
        let port = self.values.port.to_string();
        let mut with_port = url.to_owned();
        for place in ["$(public_port)s", "%(public_port)s", "$(admin_port)s", "%(admin_port)s"] {
            with_port = with_port.replace(place, &port);
        }
        let template = UrlTemplate::parse(&with_port)?;
        let anybody =
            Substitutions { project_id: Some("p"), user_id: "u", public_endpoint: self.values.public_endpoint };
        match template.fill(&anybody) {
            Some(_) => Ok(template),
            None if url.contains("(public_endpoint)") => Err("[DEFAULT] public_endpoint is not set".to_owned()),
            None => Err("there is nothing for one of its places".to_owned()),
        }
    }

    fn finish(mut self) -> (TemplateFile, Vec<Remark>) {
        let mut by_id: HashMap<ServiceId, u32> = HashMap::new();
        for (service_type, place) in &self.services {
            let id = self.file.services[place.index].id.clone();
            if let Some(other) = by_id.insert(id.clone(), place.line) {
                let (line, other) = (place.line.max(other), place.line.min(other));
                let text = format!("begins a service whose id, {id}, is that of the one which begins in line {other}");
                self.remarks.push(Remark { line, text, is_problem: true });
            }
            if !place.has_url {
                let text = format!("begins the service {service_type}, which has no URL");
                self.remarks.push(Remark { line: place.line, text, is_problem: false });
            }
        }
        for (endpoint, _) in &mut self.file.endpoints {
            if let Some(place) = self.services.get(&*endpoint.service_id) {
                endpoint.service_id = self.file.services[place.index].id.clone();
            }
        }
        self.remarks.sort_by(|a, b| (a.line, &a.text).cmp(&(b.line, &b.text)));
        (self.file, self.remarks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'_> = Values { public_endpoint: None, port: 5000 };

    /// The file that Keystone came with, shortened.
    const SAMPLE: &str = "\
# a comment
catalog.RegionOne.identity.publicURL = http://localhost:$(public_port)s/v3
catalog.RegionOne.identity.adminURL = http://localhost:%(admin_port)s/v3
catalog.RegionOne.identity.name = 'Identity Service'

catalog.RegionOne.object_store.publicURL = http://localhost:8080/v1/AUTH_$(tenant_id)s
catalog.RegionTwo.object_store.internalURL=http://two:8080/v1/AUTH_$(project_id)s
catalog.RegionTwo.object_store.id = 7
";

    fn remarks(text: &str) -> Vec<(u32, bool)> {
        parse(text, &VALUES).1.iter().map(|remark| (remark.line, remark.is_problem)).collect()
    }

    fn urls(text: &str, project_id: Option<&str>) -> Vec<Option<String>> {
        let substitutions = Substitutions { project_id, user_id: "u", public_endpoint: None };
        parse(text, &VALUES).0.endpoints.iter().map(|(_, url)| url.fill(&substitutions)).collect()
    }

    #[test]
    fn a_file_of_old_is_read() {
        let (file, remarks) = parse(SAMPLE, &VALUES);
        assert_eq!(remarks, []);
        assert_eq!(file.regions.iter().map(|region| &*region.id).collect::<Vec<_>>(), ["RegionOne", "RegionTwo"]);
        let services: Vec<_> = file
            .services
            .iter()
            .map(|service| (&*service.id, service.service_type.as_deref(), service.name()))
            .collect();
        // Quotes are part of a name.
        let identity = ("identity", Some("identity"), "'Identity Service'");
        assert_eq!(services, [identity, ("7", Some("object-store"), "")]);
        let endpoints: Vec<_> =
            file.endpoints.iter().map(|(endpoint, _)| (&*endpoint.id, &*endpoint.service_id)).collect();
        assert_eq!(
            endpoints,
            [
                ("RegionOne-identity-public", "identity"),
                ("RegionOne-identity-admin", "identity"),
                ("RegionOne-object-store-public", "7"),
                ("RegionTwo-object-store-internal", "7"),
            ]
        );
        assert_eq!(file.endpoints[0].0.url, "http://localhost:$(public_port)s/v3");
    }

    #[test]
    fn places_are_filled_in() {
        let identity = Some("http://localhost:5000/v3".to_owned());
        let of = |project: &str| {
            let store =
                [format!("http://localhost:8080/v1/AUTH_{project}"), format!("http://two:8080/v1/AUTH_{project}")];
            [[identity.clone(), identity.clone()].to_vec(), store.map(Some).to_vec()].concat()
        };
        assert_eq!(urls(SAMPLE, Some("p")), of("p"));
        assert_eq!(urls(SAMPLE, None), [identity.clone(), identity.clone(), None, None]);
    }

    #[test]
    fn every_line_that_cannot_be_followed_is_a_problem() {
        for line in [
            "catalog.R.compute.publicURL http://h",
            "catalog.R.compute = http://h",
            "catalog.R.1.compute.publicURL = http://h",
            "catalog..compute.publicURL = http://h",
            "catalog.R.compute.public URL = http://h",
            "catalog.R.compute.publicURL =",
            "catalog.R.compute.publcURL = http://h",
            "catalog.R.compute.publicUrl = http://h",
            "catalog.R.compute.publicURL = http://h:$(compute_port)s",
            "catalog.R.compute.publicURL = http://h/$(project_id)d",
            "catalog.R.compute.publicURL = http://$(compute_host)s",
            "catalog.R.compute.publicURL = $(public_endpoint)s/x",
            "catalog.R.compute.publicURL = http://h/%",
        ] {
            let file = format!("# first\ncatalog.R.compute.internalURL = http://i\n{line}\n");
            assert_eq!(remarks(&file), [(3, true)], "{line}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_a_problem() {
        let twice = "catalog.R.compute.publicURL = http://a\ncatalog.R.compute.publicURL = http://b\n";
        assert_eq!(remarks(twice), [(2, true)]);
        let one_id = "catalog.R-a.b.publicURL = http://a\ncatalog.R.a-b.publicURL = http://b\n";
        assert_eq!(remarks(one_id), [(2, true)]);
        let two_ids = "catalog.R.a.publicURL = http://a\ncatalog.R.a.id = 1\ncatalog.S.a.id = 2\n";
        assert_eq!(remarks(two_ids), [(3, true)]);
        let shared = "catalog.R.a.publicURL = http://a\ncatalog.R.b.publicURL = http://a\ncatalog.R.b.id = a\n";
        assert_eq!(remarks(shared), [(2, true)]);
    }

    #[test]
    fn what_has_no_effect_is_a_warning() {
        let file = "[catalog]\ncatalog.R.compute.publicURL = http://h?a=b\ncatalog.R.compute.version = 2\n\
                    catalog.R.compute.name = a\ncatalog.S.compute.name = b\ncatalog.S.dns.name = c\n";
        assert_eq!(remarks(file), [(1, false), (3, false), (5, false), (6, false)]);
        assert_eq!(parse(file, &VALUES).0.services[0].name(), "b");
        assert_eq!(urls(file, None), [Some("http://h?a=b".to_owned())]);
    }
}
