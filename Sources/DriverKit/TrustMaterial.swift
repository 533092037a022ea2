/// Reads certificates and keeps passwords: what the trust store needs of cryptography.
public protocol TrustMaterial: Sendable {
    /// What a certificate says.
    /// - Parameter text: PEM, or DER in base 64.
    /// - Throws: `invalidArgument` if it is not a certificate, or not one that may be trusted.
    func certificate(_ text: String) throws -> CertificateFacts
    /// A text that tells a right password from a wrong one and does not tell the password.
    func hash(password: String) throws -> String
    func verify(password: String, hash: String) -> Bool
    /// The certificate that the daemon shows to remote clients.
    var serverCertificate: CertificateFacts { get }
}

/// What a certificate says, as far as the trust store wants to know.
public struct CertificateFacts: Sendable, Hashable {
    /// SHA-256 of the DER form, in lower-case hexadecimal digits.
    public var fingerprint: String
    public var pem: String
    public var commonName: String?
    /// Seconds since 1970.
    public var notBefore: Double
    public var notAfter: Double

    public init(fingerprint: String, pem: String, commonName: String?, notBefore: Double, notAfter: Double) {
        self.fingerprint = fingerprint
        self.pem = pem
        self.commonName = commonName
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    /// Whether it is valid at that time (seconds since 1970).
    public func isValid(at time: Double) -> Bool { notBefore <= time && time <= notAfter }
}
