/// A certificate that the daemon trusts its holder for.
public struct CertificateRecord: Sendable, Codable, Hashable {
    /// What its holder may do.
    public enum Purpose: String, Sendable, Codable, CaseIterable {
        /// Use the API.
        case client
        /// Read `/1.0/metrics` and nothing else.
        case metrics
    }

    /// SHA-256 of the certificate's DER form, in lower-case hexadecimal digits.
    public var fingerprint: String
    public var purpose: Purpose
    public var name: String
    /// PEM.
    public var certificate: String
    /// Confined to `projects`.
    public var restricted: Bool
    public var projects: [String]

    public init(
        fingerprint: String, purpose: Purpose = .client, name: String, certificate: String, restricted: Bool = false,
        projects: [String] = []
    ) {
        self.fingerprint = fingerprint
        self.purpose = purpose
        self.name = name
        self.certificate = certificate
        self.restricted = restricted
        self.projects = projects
    }
}
