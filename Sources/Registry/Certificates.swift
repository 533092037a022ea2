import Model
import NIOSSL

/// Reads the certificates that an administrator laid down for a registry (containers-certs.d(5)): in a folder named
/// `host[:port]`, `*.crt` are further roots to trust, and a `NAME.cert` with its `NAME.key` is shown to the registry.
struct CertificateFolders: Sendable {
    var folders: [String]

    /// The TLS settings for one registry. Files that cannot be read are errors: silently going on without them would
    /// end in a failure that nobody understands.
    func configuration(for endpoint: RegistryEndpoint) throws -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        if endpoint.insecure { tls.certificateVerification = .none }
        var roots: [NIOSSLCertificate] = []
        for folder in folders.map({ $0 + "/" + endpoint.registry }) {
            for name in FolderListing.names(folder).sorted() {
                let path = folder + "/" + name
                do {
                    if name.hasSuffix(".crt") {
                        roots += try NIOSSLCertificate.fromPEMFile(path)
                    } else if name.hasSuffix(".cert") {
                        tls.certificateChain = try NIOSSLCertificate.fromPEMFile(path).map { .certificate($0) }
                        let key = path.dropLast(".cert".count) + ".key"
                        tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: String(key), format: .pem))
                    }
                } catch {
                    throw EngineError(.invalidArgument, "the certificate file \(path) cannot be used", cause: error)
                }
            }
        }
        if !roots.isEmpty {
            tls.additionalTrustRoots = [.certificates(roots)]
            // A root that was laid down on purpose is to be checked against.
            tls.certificateVerification = .fullVerification
        }
        return tls
    }
}
