import Glibc

/// The authorities whose certificates this host trusts: without them no registry and no image server can be reached
/// over TLS.
public enum CertificateAuthorities {
    /// Where distributions have them: Debian, Ubuntu, Arch and Alpine, then Fedora.
    static let bundles = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"]

    /// The host's bundle; nil if it has none.
    public static var bundle: String? { bundles.first { access($0, R_OK) == 0 } }

    /// What to do where there are none.
    public static let advice = "apt-get install ca-certificates"
}
