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

    /// - Parameters:
    ///   - folder: where the two files are or are made.
    ///   - name: common name of a certificate that is made, usually the host's.
    ///   - addresses: bare IP addresses that it is made for, beside the host's name and loopback.
    public init(folder: String, name: String, addresses: [String] = []) throws {
        let (certificatePath, keyPath) = (folder + "/server.crt", folder + "/server.key")
        if access(certificatePath, F_OK) == 0 || access(keyPath, F_OK) == 0 {
            chain = try Self.text(certificatePath)
            key = try Self.text(keyPath)
        } else {
            (chain, key) = try Self.make(name: name, addresses: addresses)
            // The key first: a certificate without a key would be refused at the next start.
            try Self.write(key, keyPath, mode: 0o600)
            try Self.write(chain, certificatePath, mode: 0o644)
        }
        certificate = try CertificateReader.read(chain)
    }

    /// ECDSA on P-384, valid for ten years.
    static func make(name: String, addresses: [String]) throws -> (certificate: String, key: String) {
        let key = P384.Signing.PrivateKey()
        let signer = Certificate.PrivateKey(key)
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
            signatureAlgorithm: .ecdsaWithSHA384,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true, keyEncipherment: true))
                try ExtendedKeyUsage([.serverAuth])
                SubjectAlternativeNames(names)
            }, issuerPrivateKey: signer)
        return (try certificate.serializeAsPEM().pemString + "\n", key.pemRepresentation + "\n")
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
