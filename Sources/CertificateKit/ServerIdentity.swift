import Crypto
public import DriverKit
import FoundationEssentials
import Glibc
import LinuxHost
import Model
import SwiftASN1
import X509

/// The daemon's own certificate and key: `server.crt` and `server.key` in the state folder, as LXD has them. Made at
/// the first start; files that are there are used as they are, so that an administrator can put others in their place.
public struct ServerIdentity: Sendable {
    public let certificate: CertificateFacts
    /// PEM.
    public let key: String
    /// PEM of the certificate with those that lead to its issuer, as the file has it.
    public let chain: String

    /// A key without a certificate, as a first start leaves it that was cut off, is used for a new one.
    ///
    /// - Parameters:
    ///   - folder: where the two files are or are made.
    ///   - name: common name of a certificate that is made, usually the host's.
    ///   - addresses: bare IP addresses that it is made for, beside the host's name and loopback.
    public init(folder: String, name: String, addresses: [String] = []) throws {
        let (certificatePath, keyPath) = (folder + "/server.crt", folder + "/server.key")
        if access(certificatePath, F_OK) == 0 {
            chain = try Self.text(certificatePath)
            key = try Self.text(keyPath)
        } else {
            if access(keyPath, F_OK) == 0 {
                key = try Self.text(keyPath)
            } else {
                key = P384.Signing.PrivateKey().pemRepresentation + "\n"
                // The key first: a certificate without its key is of no use.
                try Self.write(key, keyPath, mode: 0o600)
            }
            chain = try Self.certificate(key: key, name: name, addresses: addresses)
            try Self.write(chain, certificatePath, mode: 0o644)
        }
        do { certificate = try CertificateReader.read(chain) } catch {
            throw EngineError(
                .internal, "\(certificatePath), the daemon's certificate, cannot be used",
                hint: "put it back, or remove it: a new one is made for its key", cause: error)
        }
    }

    /// Signed by its own key, valid for ten years.
    /// - Parameter key: PEM; an elliptic curve's or RSA's.
    static func certificate(key: String, name: String, addresses: [String]) throws -> String {
        let signer: Certificate.PrivateKey
        do { signer = try Certificate.PrivateKey(pemEncoded: key) } catch {
            throw EngineError(
                .internal, "the daemon's key, server.key in the state folder, cannot be used",
                hint: "put its certificate beside it, or remove it: a new one is made", cause: error)
        }
        // Distinguished names hold at most 64 characters of a common name (X.520).
        let common = String("root@\(name)".prefix(64))
        let subject = try DistinguishedName {
            CommonName(common)
            OrganizationName("Isle")
        }
        var names: [GeneralName] = [.dnsName(name)]
        for text in ["127.0.0.1", "::1"] + addresses {
            guard let address = IPAddress(text) else { continue }
            names.append(.ipAddress(ASN1OctetString(contentBytes: ArraySlice(address.bytes))))
        }
        let now = Date()
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: signer.publicKey,
            // Clocks of clients differ.
            notValidBefore: now - 3600, notValidAfter: now + 10 * 365.25 * 86_400, issuer: subject, subject: subject,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true, keyEncipherment: true))
                try ExtendedKeyUsage([.serverAuth])
                SubjectAlternativeNames(names)
            }, issuerPrivateKey: signer)
        return try certificate.serializeAsPEM().pemString + "\n"
    }

    private static func text(_ path: String) throws -> String {
        do {
            return String(decoding: try readSmallFile(path, limit: 1 << 20), as: UTF8.self)
        } catch {
            throw EngineError(
                .internal, "\(path) of the daemon's certificate cannot be read",
                hint: "put it back, or remove server.crt and server.key together: new ones are made", cause: error)
        }
    }

    private static func write(_ text: String, _ path: String, mode: mode_t) throws {
        let temporary = path + ".new"
        unlink(temporary)
        let descriptor = OwnedDescriptor(open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode))
        guard descriptor.raw >= 0 else { throw failure(path) }
        let bytes = Array(text.utf8)
        guard Glibc.write(descriptor.raw, bytes, bytes.count) == bytes.count, fsync(descriptor.raw) == 0,
            rename(temporary, path) == 0
        else { throw failure(path) }
    }

    private static func failure(_ path: String) -> EngineError {
        EngineError(.internal, "\(path) cannot be written: \(String(cString: strerror(errno)))")
    }
}

// Whatever is written about the daemon's parts, the key is not.
extension ServerIdentity: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "identity \(certificate.fingerprint)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["certificate": certificate]) }
}
