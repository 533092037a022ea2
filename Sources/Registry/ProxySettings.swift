/// Which proxy is used for which host, as the environment variables of curl(1) and of Go programs say it.
public struct ProxySettings: Sendable, Hashable {
    /// Host and port of an HTTP proxy.
    public struct Server: Sendable, Hashable {
        public var host: String
        public var port: Int

        public init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    /// For registries with TLS. Both ways use the proxy's CONNECT.
    public var secure: Server?
    /// For registries without TLS.
    public var plain: Server?
    /// Hosts that are reached without a proxy: names, domains (`.example.com`, `example.com`), addresses, or `*`.
    public var exceptions: [String]

    public init(secure: Server? = nil, plain: Server? = nil, exceptions: [String] = []) {
        self.secure = secure
        self.plain = plain
        self.exceptions = exceptions
    }

    /// Reads `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in capital or small letters. Only http proxies without a password
    /// are known; others are passed over.
    public init(environment: [String: String]) {
        let value = { (name: String) in
            [environment[name], environment[name.lowercased()]].compactMap { $0 }.first { !$0.isEmpty }
        }
        secure = value("HTTPS_PROXY").flatMap(Self.server)
        plain = value("HTTP_PROXY").flatMap(Self.server)
        exceptions = (value("NO_PROXY") ?? "").split { $0 == "," || $0 == " " }.map { $0.lowercased() }
    }

    /// The proxy on the way to `location`; nil for a direct connection. This machine is never reached through one.
    func server(for location: WebLocation) -> Server? {
        let host = location.host
        if HostName.isLocalOnly(host) { return nil }
        let isException = exceptions.contains { exception in
            let name = exception.hasPrefix(".") ? String(exception.dropFirst()) : exception
            return name == "*" || host == name || location.authority == name || host.hasSuffix("." + name)
        }
        return isException ? nil : location.isSecure ? secure : plain
    }

    private static func server(_ text: String) -> Server? {
        guard let location = WebLocation(text.contains("://") ? text : "http://" + text), !location.isSecure else {
            return nil
        }
        return Server(host: location.host, port: location.port)
    }
}
