import Crypto
import DriverKit
import Foundation
import Model
import SwiftASN1
import Testing
import X509

@testable import CertificateKit

@Suite struct CertificateTests {
    private func inFolder(_ body: (String) throws -> Void) throws {
        let folder = NSTemporaryDirectory() + "isle-cert-\(UInt32.random(in: .min ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    @Test func identityIsMadeOnceAndKept() throws {
        try inFolder { folder in
            let first = try ServerIdentity(folder: folder, name: "host", addresses: ["10.1.2.3"])
            let again = try ServerIdentity(folder: folder, name: "other")
            #expect(first.certificate == again.certificate)
            #expect(first.certificate.commonName == "root@host")
            #expect(first.certificate.fingerprint.count == 64)
            let years = (first.certificate.notAfter - first.certificate.notBefore) / 31_557_600
            #expect((9.9...10.1).contains(years))
            let mode = try FileManager.default.attributesOfItem(atPath: folder + "/server.key")[.posixPermissions]
            #expect(mode as? Int == 0o600)
        }
    }

    @Test func theKeyIsNotWritten() throws {
        try inFolder { folder in
            let identity = try ServerIdentity(folder: folder, name: "host")
            var dumped = "\(identity) \(String(reflecting: identity)) \([Optional(ServerTrust(identity))])"
            dump(ServerTrust(identity), to: &dumped)
            #expect(!dumped.contains("PRIVATE KEY") && !dumped.contains(identity.key.prefix(100)))
        }
    }

    @Test func halfAnIdentityIsRefusedAndNotReplaced() throws {
        try inFolder { folder in
            _ = try ServerIdentity(folder: folder, name: "host")
            try FileManager.default.removeItem(atPath: folder + "/server.key")
            #expect(throws: EngineError.self) { try ServerIdentity(folder: folder, name: "host") }
            #expect(!FileManager.default.fileExists(atPath: folder + "/server.key"))
        }
    }

    @Test func aKeyAloneGetsItsCertificate() throws {
        try inFolder { folder in
            let first = try ServerIdentity(folder: folder, name: "host")
            try FileManager.default.removeItem(atPath: folder + "/server.crt")
            let again = try ServerIdentity(folder: folder, name: "host")
            #expect(again.key == first.key)
            #expect(again.certificate != first.certificate)
            let held = try Certificate.PrivateKey(pemEncoded: again.key).publicKey
            #expect(try Certificate(pemEncoded: again.chain).publicKey == held)
            try Data("no key".utf8).write(to: URL(fileURLWithPath: folder + "/server.key"))
            try FileManager.default.removeItem(atPath: folder + "/server.crt")
            #expect(throws: EngineError.self) { try ServerIdentity(folder: folder, name: "host") }
            #expect(try Data(contentsOf: URL(fileURLWithPath: folder + "/server.key")) == Data("no key".utf8))
        }
    }

    @Test func pemAndBase64AreTheSame() throws {
        let key = P384.Signing.PrivateKey().pemRepresentation
        let pem = try ServerIdentity.certificate(key: key, name: "host", addresses: [])
        let bare = pem.split(separator: "\n").filter { !$0.hasPrefix("-----") }.joined()
        #expect(try CertificateReader.read(pem) == CertificateReader.read(bare))
    }

    @Test(arguments: ["", "x", "AAAA", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
    func whatIsNoCertificateIsRefused(_ text: String) {
        #expect(throws: EngineError.self) { try CertificateReader.read(text) }
    }

    @Test func aKeyIsNoCertificate() throws {
        let key = P384.Signing.PrivateKey().pemRepresentation
        #expect(throws: EngineError.self) { try CertificateReader.read(key) }
    }

    @Test func passwords() throws {
        try inFolder { folder in
            let trust = ServerTrust(try ServerIdentity(folder: folder, name: "host"))
            let hash = try trust.hash(password: "secret")
            #expect(!hash.contains("secret"))
            #expect(trust.verify(password: "secret", hash: hash))
            #expect(!trust.verify(password: "Secret", hash: hash))
            #expect(!trust.verify(password: "", hash: hash))
            #expect(!trust.verify(password: "secret", hash: "scrypt:x"))
        }
    }
}
