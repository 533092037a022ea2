import Crypto
public import DriverKit
import FoundationEssentials
import Model
import SwiftASN1
import X509

/// Certificates as RFC 5280 has them.
public enum CertificateReader {
    /// PEM with one certificate (further ones are ignored), or DER in base 64.
    public static func read(_ text: String) throws -> CertificateFacts {
        let der: [UInt8]
        if text.contains("-----BEGIN") {
            let documents: [PEMDocument]
            do { documents = try PEMDocument.parseMultiple(pemString: text) } catch { throw refusal("\(error)") }
            guard let first = documents.first(where: { $0.discriminator == "CERTIFICATE" }) else {
                throw refusal("the PEM text holds none")
            }
            der = first.derBytes
        } else {
            guard let data = Data(base64Encoded: String(text.filter { !$0.isWhitespace })), !data.isEmpty else {
                throw refusal("neither PEM nor base 64")
            }
            der = Array(data)
        }
        return try read(der: der)
    }

    public static func read(der: [UInt8]) throws -> CertificateFacts {
        let certificate: Certificate
        do { certificate = try Certificate(derEncoded: der) } catch { throw refusal("\(error)") }
        return CertificateFacts(
            fingerprint: fingerprint(der: der), pem: PEMDocument(type: "CERTIFICATE", derBytes: der).pemString + "\n",
            commonName: commonName(certificate.subject),
            notBefore: certificate.notValidBefore.timeIntervalSince1970,
            notAfter: certificate.notValidAfter.timeIntervalSince1970)
    }

    /// SHA-256, as LXD and `openssl x509 -fingerprint -sha256` have it, without colons.
    public static func fingerprint(der: [UInt8]) -> String {
        SHA256.hash(data: der).map { byte in
            let text = String(byte, radix: 16)
            return text.utf8.count == 1 ? "0" + text : text
        }.joined()
    }

    private static func commonName(_ subject: DistinguishedName) -> String? {
        for part in subject {
            for attribute in part where attribute.type == .RDNAttributeType.commonName {
                return String(attribute.value)
            }
        }
        return nil
    }

    private static func refusal(_ why: String) -> EngineError {
        EngineError(
            .invalidArgument, "the certificate cannot be read: \(why)",
            hint: "give it in PEM, or as DER in base 64 without its key")
    }
}
