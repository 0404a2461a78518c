// Command kops checks a cluster's specification as `kops create` and `kops update cluster` do, against a cloud that is
// only pretended: it decodes it strictly, fills in the defaults and validates the result. It exits with 1 and says why
// when kOps would refuse it.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	route53types "github.com/aws/aws-sdk-go-v2/service/route53/types"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kops/cloudmock/aws/mockec2"
	"k8s.io/kops/cloudmock/aws/mockroute53"
	"k8s.io/kops/pkg/apis/kops"
	"k8s.io/kops/pkg/apis/kops/validation"
	"k8s.io/kops/pkg/assets"
	"k8s.io/kops/pkg/client/simple/vfsclientset"
	"k8s.io/kops/pkg/featureflag"
	"k8s.io/kops/pkg/kopscodecs"
	"k8s.io/kops/upup/pkg/fi"
	"k8s.io/kops/upup/pkg/fi/cloudup"
	"k8s.io/kops/upup/pkg/fi/cloudup/awsup"
	"k8s.io/kops/util/pkg/vfs"
)

func main() {
	// The digests of kOps' own images are asked of their registry, and are no matter of the specification.
	featureflag.ParseFlags("-ImageDigest")
	for _, path := range os.Args[1:] {
		if err := check(context.Background(), path); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			os.Exit(1)
		}
	}
	fmt.Printf("%d passed, 0 failed\n", len(os.Args)-1)
}

func check(ctx context.Context, path string) error {
	cluster, groups, err := read(path)
	if err != nil {
		return err
	}
	zone := cluster.Spec.Networking.Subnets[0].Zone
	cloud := awsup.InstallMockAWSCloud(zone[:len(zone)-1], "abc")
	cloud.MockEC2 = &mockec2.MockEC2{}
	dns := &mockroute53.MockRoute53{}
	_, parent, _ := strings.Cut(cluster.Name, ".")
	dns.MockCreateZone(&route53types.HostedZone{
		Id:     aws.String("/hostedzone/Z1"),
		Name:   aws.String(parent + "."),
		Config: &route53types.HostedZoneConfig{},
	}, nil)
	cloud.MockRoute53 = dns

	vfs.Context.ResetMemfsContext(true)
	base, err := vfs.Context.BuildVfsPath("memfs://state")
	if err != nil {
		return err
	}
	clients := vfsclientset.NewVFSClientset(vfs.Context, base)
	// The buckets are on AWS.
	cluster.Spec.ConfigStore.Base = "memfs://state/" + cluster.Name
	cluster.Spec.ServiceAccountIssuerDiscovery.DiscoveryStore = "memfs://discovery/" + cluster.Name

	if err := cloudup.PerformAssignments(cluster, vfs.Context, cloud); err != nil {
		return err
	}
	builder := assets.NewAssetBuilder(vfs.Context, cluster.Spec.Assets, false)
	full, err := cloudup.PopulateClusterSpec(ctx, clients, cluster, groups, cloud, builder)
	if err != nil {
		return err
	}
	var filled []*kops.InstanceGroup
	for _, group := range groups {
		group.Spec.Image = "ami-of-the-channel"
		full, err := cloudup.PopulateInstanceGroupSpec(full, group, cloud, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", group.Name, err)
		}
		filled = append(filled, full)
	}
	var pretended fi.Cloud // instance types and images would be asked of AWS
	return validation.DeepValidate(full, filled, true, vfs.Context, pretended)
}

func read(path string) (*kops.Cluster, []*kops.InstanceGroup, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	strict := serializer.NewCodecFactory(kopscodecs.Scheme, serializer.EnableStrict).UniversalDecoder(kops.SchemeGroupVersion)

	var cluster *kops.Cluster
	var groups []*kops.InstanceGroup
	for reader := yaml.NewYAMLReader(bufio.NewReader(file)); ; {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, err
		}
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		object, err := runtime.Decode(strict, document)
		if err != nil {
			return nil, nil, err
		}
		switch object := object.(type) {
		case *kops.Cluster:
			cluster = object
		case *kops.InstanceGroup:
			groups = append(groups, object)
		default:
			return nil, nil, fmt.Errorf("%T is neither a Cluster nor an InstanceGroup", object)
		}
	}
	if cluster == nil {
		return nil, nil, errors.New("no Cluster")
	}
	return cluster, groups, nil
}
