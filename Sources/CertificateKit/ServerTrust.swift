import Crypto
import CryptoExtras
public import DriverKit
import FoundationEssentials
import Model

/// The cryptography of the trust store.
public struct ServerTrust: TrustMaterial {
    private let identity: ServerIdentity

    public init(_ identity: ServerIdentity) { self.identity = identity }

    public var serverCertificate: CertificateFacts { identity.certificate }

    public func certificate(_ text: String) throws -> CertificateFacts { try CertificateReader.read(text) }

    // scrypt (RFC 7914) with 16 MiB of memory, as LXD has it; stored as `scrypt:SALT:KEY` in base 64.

    public func hash(password: String) throws -> String {
        let salt = SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) }
        return try "scrypt:\(salt.base64EncodedString()):\(Self.derive(password, salt).base64EncodedString())"
    }

    public func verify(password: String, hash: String) -> Bool {
        let parts = hash.split(separator: ":")
        guard parts.count == 3, parts[0] == "scrypt", let salt = Data(base64Encoded: String(parts[1])),
            let wanted = Data(base64Encoded: String(parts[2])), let found = try? Self.derive(password, salt),
            wanted.count == found.count
        else { return false }
        // Takes the same time wherever they differ.
        return zip(wanted, found).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    private static func derive(_ password: String, _ salt: Data) throws -> Data {
        let key = try KDF.Scrypt.deriveKey(
            from: Data(password.utf8), salt: salt, outputByteCount: 64, rounds: 1 << 14, blockSize: 8, parallelism: 1)
        return key.withUnsafeBytes { Data($0) }
    }
}
