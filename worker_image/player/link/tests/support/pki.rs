//! A CA and certificates as the operator issues them (docs/wire.md, Certificates).

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};

pub struct Authority {
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "digits");
        let key = KeyPair::generate().expect("key");
        Authority { certificate: params.self_signed(&key).expect("certificate"), key }
    }

    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// ca.crt, tls.crt, tls.key for a role, in this folder.
    pub fn issue(&self, role: &str, folder: &Path) {
        let mut params = CertificateParams::default();
        let uri = format!("securemodel://default/digits/{role}");
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into().expect("ascii"))];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if role != "share" {
            params.subject_alt_names.push(SanType::DnsName("localhost".try_into().expect("ascii")));
            params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        let key = KeyPair::generate().expect("key");
        let certificate =
            params.signed_by(&key, &self.certificate, &self.key).expect("certificate");
        fs::create_dir_all(folder).expect("folder");
        for (name, pem) in [
            ("ca.crt", self.pem()),
            ("tls.crt", certificate.pem()),
            ("tls.key", key.serialize_pem()),
        ] {
            fs::write(folder.join(name), pem).expect("written");
        }
    }
}
