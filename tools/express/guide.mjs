/** The Express guide's app: its routes, guards and protections; its imports are mended. */
import bcrypt from "bcryptjs";
import cookieParser from "cookie-parser";
import cors from "cors";
import { doubleCsrf } from "csrf-csrf";
import express from "express";
import { rateLimit } from "express-rate-limit";
import helmet from "helmet";
import jwt from "jsonwebtoken";

export const ACCESS_SECRET = "access-secret-of-thirty-two-bytes";
export const REFRESH_SECRET = "refresh-secret-of-thirty-two-bytes";
export const MESSAGE = { statusCode: 429, message: "Too many requests, please try again later" };
const WEEK_MS = 7 * 24 * 60 * 60 * 1000;

/** An app as it answers in production: Express then shows no stack traces. */
export function plain() {
  const app = express();
  app.set("env", "production");
  return app;
}

export const accessToken = (user) =>
  jwt.sign({ id: user.id, email: user.email, role: user.role }, ACCESS_SECRET, {
    expiresIn: "15m",
  });
export const refreshToken = (user) =>
  jwt.sign({ id: user.id }, REFRESH_SECRET, { expiresIn: "7d" });

const wrong = (req, statusCode, message, error) => ({
  statusCode,
  message,
  error,
  path: req.originalUrl,
  timestamp: new Date().toISOString(),
});

export function authenticate(req, res, next) {
  const header = req.headers.authorization;
  if (!header || !header.startsWith("Bearer ")) {
    return res.status(401).json(wrong(req, 401, "Authentication required", "missing_token"));
  }
  try {
    req.user = jwt.verify(header.split(" ")[1], ACCESS_SECRET);
  } catch (error) {
    const [message, code] =
      error.name === "TokenExpiredError"
        ? ["Token has expired", "token_expired"]
        : ["Invalid token", "invalid_token"];
    return res.status(401).json(wrong(req, 401, message, code));
  }
  return next();
}

export const authorize = (...roles) => (req, res, next) => {
  if (roles.includes(req.user.role)) return next();
  return res.status(403).json({
    statusCode: 403,
    message: "Forbidden: Insufficient permissions",
    path: req.originalUrl,
  });
};

/** Register, a profile, the list for admins. `production`: whether cookies are Secure. */
export function authRoutes(app, production) {
  const users = new Map();
  app.use(express.json());
  app.post("/api/auth/register", (req, res) => {
    const { email, password, name } = req.body;
    if (users.has(email)) {
      return res.status(409).json({
        statusCode: 409,
        message: "User already exists",
        path: req.originalUrl,
        timestamp: new Date().toISOString(),
      });
    }
    const user = { id: `user-${users.size + 1}`, email, name, role: "user" };
    users.set(email, { ...user, password: bcrypt.hashSync(password, 4) });
    res.cookie("refreshToken", refreshToken(user), {
      httpOnly: true,
      secure: production,
      sameSite: "strict",
      maxAge: WEEK_MS,
    });
    return res.status(201).json({
      statusCode: 201,
      data: { user, accessToken: accessToken(user) },
      message: "User registered successfully",
    });
  });
  app.get("/api/profile", authenticate, (req, res) =>
    res.json({ statusCode: 200, data: { id: req.user.id, email: req.user.email } }),
  );
  app.get("/api/users", authenticate, authorize("admin"), (req, res) =>
    res.json({ statusCode: 200, data: [] }),
  );
}

export const corsOptions = {
  origin(origin, callback) {
    const allowed = ["https://yourdomain.com", "https://app.yourdomain.com"];
    if (!origin || allowed.includes(origin)) return callback(null, true);
    return callback(new Error("Not allowed by CORS"));
  },
  credentials: true,
  methods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
  allowedHeaders: ["Content-Type", "Authorization"],
};

export function csrf(production) {
  return doubleCsrf({
    getSecret: () => "your-csrf-secret",
    getSessionIdentifier: (req) => req.cookies.refreshToken ?? "",
    cookieName: "x-csrf-token",
    cookieOptions: { httpOnly: true, sameSite: "strict", secure: production },
    size: 64,
    ignoredMethods: ["GET", "HEAD", "OPTIONS"],
  });
}

/** An app behind csrf-csrf, with a route that gives a token and one that changes something. */
export function csrfRoutes(app, production) {
  const { generateCsrfToken, doubleCsrfProtection } = csrf(production);
  app.use(cookieParser());
  app.get("/api/auth/csrf-token", (req, res) => {
    res.json({ csrfToken: generateCsrfToken(req, res) });
  });
  app.use(doubleCsrfProtection);
  app.all("/api/things", (req, res) => res.json({ done: true }));
}

/** The guide's app.js: all protections in its order, then its routes. */
export function stack() {
  const app = plain();
  app.use(
    rateLimit({
      windowMs: 15 * 60 * 1000,
      max: 100,
      standardHeaders: true,
      legacyHeaders: false,
      message: MESSAGE,
    }),
  );
  app.use(cors(corsOptions));
  app.use(helmet());
  csrfRoutes(app, true);
  authRoutes(app, true);
  return app;
}
