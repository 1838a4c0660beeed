//! An embeddable vSphere endpoint.
